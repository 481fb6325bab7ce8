import { openText } from '../../sealing/seal.ts';
import { version } from '../../version.ts';
import type { Attempt, Outcome } from './attempts.sql.ts';
import { type DestinationSettings, locate, readUrl, UrlRefused } from './destination.ts';
import { retryAfterMs } from './pauses.ts';
import { type Connection, connectTo, type Response } from './post.ts';
import { signatureHeaders } from './signature.ts';

export interface AttemptSettings {
  readonly destination: DestinationSettings;
  /** Decrypts the secrets. */
  readonly sealKey: Buffer;
  /** Milliseconds for a whole attempt, including the look-up of the name. */
  readonly deadlineMs: number;
}

export interface Attempted extends Outcome {
  /** The pause that the receiver asked for. */
  readonly askedMs: number | undefined;
}

const unreadableSecret = 'the secret cannot be decrypted, because JWT_SECRET has changed; give the webhook a new one';
const noAddress = 'the name of the host does not resolve';
const unknownIssuer = 'the certificate is not from a known authority';

/** Messages for errors that an operator can act on. Others are reported by their code. */
const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was closed without an answer',
  EPIPE: 'the connection was closed without an answer',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'the host does not answer',
  ENOTFOUND: noAddress,
  ENODATA: noAddress,
  ENOENT: noAddress,
  EAI_AGAIN: 'DNS does not answer',
  EPROTO: 'the TLS handshake failed',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another host',
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownIssuer,
  SELF_SIGNED_CERT_IN_CHAIN: unknownIssuer,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownIssuer,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownIssuer,
};

/** Keeps a connection to one webhook open for several messages in a row. */
export class Line {
  readonly #settings: AttemptSettings;
  #open: { readonly url: string; readonly connection: Connection } | undefined;

  constructor(settings: AttemptSettings) {
    this.#settings = settings;
  }

  /** Sends a message once. Rejects only if `stop` is aborted. */
  async send(
    { url, secret, previous_secret, sent_at }: Attempt,
    { id, body }: { id: string; body: Buffer },
    stop: AbortSignal,
  ): Promise<Attempted> {
    const { deadlineMs } = this.#settings;
    const secrets = [secret, previous_secret].flatMap((sealed) => (sealed ? this.#openSecret(sealed) : []));
    if (secrets.length === 0) return failed(unreadableSecret, 0);
    const deadline = AbortSignal.timeout(deadlineMs);
    const signal = AbortSignal.any([deadline, stop]);
    const begun = performance.now();
    const durationMs = () => Math.round(performance.now() - begun);
    try {
      const connection = await this.#connect(url, signal);
      const timestampSeconds = Math.floor(sent_at.getTime() / 1_000);
      const headers = {
        'content-type': 'application/json',
        'user-agent': `Kohort-Webhooks/${version}`,
        ...signatureHeaders({ id, timestampSeconds, body }, secrets),
      };
      const response = await connection.post(headers, body, signal);
      return judged(response, durationMs());
    } catch (error) {
      this.close();
      stop.throwIfAborted();
      return failed(deadline.aborted ? `no answer within ${deadlineMs / 1_000} s` : wordsOf(error), durationMs());
    }
  }

  close(): void {
    this.#open?.connection.close();
    this.#open = undefined;
  }

  #openSecret(sealed: Buffer): string[] {
    const text = openText(this.#settings.sealKey, Buffer.alloc(0), sealed);
    return text === undefined ? [] : [text];
  }

  async #connect(url: string, signal: AbortSignal): Promise<Connection> {
    if (this.#open?.url === url) return this.#open.connection;
    this.close();
    const connection = connectTo(await locate(this.#settings.destination, readUrl(url), signal));
    this.#open = { url, connection };
    return connection;
  }
}

function judged({ status, excerpt, retryAfter }: Response, durationMs: number): Attempted {
  const isSuccess = status >= 200 && status < 300;
  const error = isSuccess
    ? null
    : status >= 300 && status < 400
      ? `answered ${status}, and redirects are not followed`
      : `answered ${status}`;
  return { status, error, response: excerpt, durationMs, askedMs: retryAfterMs(retryAfter, Date.now()) };
}

function failed(error: string, durationMs: number): Attempted {
  return { status: null, error, response: null, durationMs, askedMs: undefined };
}

/** Why no response arrived, as shown in the list of deliveries. */
export function wordsOf(error: unknown): string {
  if (error instanceof UrlRefused) return `the url ${error.message}`;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return words[code] ?? `the request failed (${code})`;
}
