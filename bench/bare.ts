import { createServer } from 'node:http';

/** The runtime's limit: node's own HTTP server with a constant body of a usual answer's length. Started by the bench. */
const body = JSON.stringify({ segments: Array.from({ length: 10 }, (_, i) => `SEGMENT_${100 + i}`) });
const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body) };

createServer((_request, response) => {
  response.writeHead(200, headers);
  response.end(body);
}).listen(Number(process.env.PORT), '127.0.0.1');
