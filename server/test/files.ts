import { untilPasses } from '@kohort/testkit/eventually.ts';
import type { Answer, Service } from './service.ts';

export type JobBody = Answer['body'];

/** Only ends a test that waits in vain. */
const withinMs = 200_000;

/** Sends a file and waits for its job. */
export interface Files {
  /** The answer to the upload. */
  send(path: string, text: string | Buffer, type?: string, headers?: Record<string, string>): Promise<Answer>;
  job(id: string): Promise<JobBody>;
  /** The job when it has ended. */
  ended(id: string): Promise<JobBody>;
  /** Sends, demands 202, and waits. */
  run(path: string, text: string | Buffer, type?: string): Promise<JobBody>;
}

export function filesOf(service: Service): Files {
  const token = service.admin;
  const files: Files = {
    send: (path, text, type = 'text/csv', headers = {}) =>
      service.call('POST', path, { token, body: text, headers: { 'content-type': type, ...headers } }),
    async job(id) {
      return (await service.call('GET', `/api/jobs/${id}`, { token })).body;
    },
    ended: (id) =>
      untilPasses(async () => {
        const job = await files.job(id);
        if (job.finished_at === null) throw new Error(`job ${id} is still ${job.state}`);
        return job;
      }, withinMs),
    async run(path, text, type) {
      const { status, body } = await files.send(path, text, type);
      if (status !== 202) throw new Error(`${path} answered ${status}: ${JSON.stringify(body)}`);
      return files.ended(body.job);
    },
  };
  return files;
}
