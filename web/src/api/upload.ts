import { type Carry, send } from './call.ts';

/** The progress of an upload, in bytes. */
export interface Sent {
  readonly sent: number;
  readonly total: number;
}

export interface UploadOptions {
  readonly type: string;
  readonly onProgress?: (sent: Sent) => void;
  readonly signal?: AbortSignal;
}

/** `fetch` does not report the progress of an upload; `XMLHttpRequest` does. */
function byRequest({ type, onProgress, signal }: UploadOptions, body: Blob | string): Carry {
  return (address) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('POST', address);
      request.setRequestHeader('content-type', type);
      request.upload.onprogress = ({ loaded, total }) => onProgress?.({ sent: loaded, total });
      request.onload = () => {
        const id = request.getResponseHeader('x-request-id');
        const wait = request.getResponseHeader('retry-after');
        const headers = new Headers({ ...(id && { 'x-request-id': id }), ...(wait && { 'retry-after': wait }) });
        resolve(new Response(request.responseText || null, { status: request.status, headers }));
      };
      request.onerror = () => reject(new TypeError('the connection broke'));
      request.onabort = () => reject(signal?.reason);
      signal?.addEventListener('abort', () => request.abort(), { once: true });
      request.send(body);
    });
}

/** Sends a file of any size. Returns the id of the job that imports it. */
export async function upload(address: string, body: Blob | string, options: UploadOptions): Promise<{ job: string }> {
  const { signal } = options;
  const answer = await send(address, { ...(signal && { signal }) }, byRequest(options, body));
  // The server's tests check every answer against the schema of this type.
  return (await answer.json()) as { job: string };
}
