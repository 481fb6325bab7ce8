import { createHmac, randomBytes } from 'node:crypto';

const prefix = 'whsec_';
const drawnBytes = 32;
/** The range that Standard Webhooks allows. */
const minBytes = 24;
const maxBytes = 64;

export function drawSecret(): string {
  return prefix + randomBytes(drawnBytes).toString('base64');
}

/** Whether a text is a secret in the form of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. */
export function isSecret(text: string): boolean {
  const key = keyOf(text);
  return text === prefix + key.toString('base64') && key.length >= minBytes && key.length <= maxBytes;
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(prefix.length), 'base64');
}

export interface SignedMessage {
  readonly id: string;
  /** The time of sending: receivers may refuse old messages. */
  readonly timestampSeconds: number;
  readonly body: Buffer;
}

/** The headers of Standard Webhooks, with one signature per secret. */
export function signatureHeaders({ id, timestampSeconds, body }: SignedMessage, secrets: readonly string[]) {
  const signed = Buffer.concat([Buffer.from(`${id}.${timestampSeconds}.`), body]);
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', keyOf(secret)).update(signed).digest('base64')}`,
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatures.join(' '),
  };
}
