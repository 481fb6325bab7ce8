import cluster from 'node:cluster';
import { createServer } from 'node:http';

/** The limit of the runtime: node:http with a constant body as long as a usual answer. Started by the bench. */
const body = JSON.stringify({ segments: Array.from({ length: 10 }, (_, i) => `SEGMENT_${100 + i}`) });
const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) };
const { PORT, PROCESSES = '1' } = process.env;

function serve(): void {
  createServer((_request, response) => {
    response.writeHead(200, headers);
    response.end(body);
    // Several share the port as the service's workers do.
  }).listen({ port: Number(PORT), host: '127.0.0.1', reusePort: cluster.isWorker });
}

if (cluster.isWorker || PROCESSES === '1') serve();
else for (let i = 0; i < Number(PROCESSES); i++) cluster.fork();
