import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { drawSecret, isSecret, signatureHeaders } from './signature.ts';

const now = () => Math.floor(Date.now() / 1000);
const text = '{"type":"changes","name":"größe"}';
const body = Buffer.from(text);
const message = (change = {}) => ({ id: 'msg_1', timestampSeconds: now(), body, ...change });

describe('a signature', () => {
  it('is accepted by the library of Standard Webhooks', () => {
    const secret = drawSecret();
    expect(new Webhook(secret).verify(text, signatureHeaders(message(), [secret]))).toEqual(JSON.parse(text));
  });

  it('matches the example of the specification', () => {
    const headers = signatureHeaders(
      { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestampSeconds: 1614265330, body: Buffer.from('{"test": 2432232314}') },
      ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    );
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('with two secrets is accepted with either, and with no third', () => {
    const secrets = [drawSecret(), drawSecret()];
    const headers = signatureHeaders(message(), secrets);
    for (const secret of secrets) expect(() => new Webhook(secret).verify(text, headers)).not.toThrow();
    expect(() => new Webhook(drawSecret()).verify(text, headers)).toThrow(WebhookVerificationError);
  });

  it.each([
    ['another body', { body: Buffer.from('{}') }],
    ['another id', { id: 'msg_2' }],
    ['another time', { timestampSeconds: now() - 60 }],
  ])('does not fit %s', (_, change) => {
    const secret = drawSecret();
    const { 'webhook-signature': signature } = signatureHeaders(message(change), [secret]);
    const headers = { ...signatureHeaders(message(), [secret]), 'webhook-signature': signature };
    expect(() => new Webhook(secret).verify(text, headers)).toThrow(WebhookVerificationError);
  });
});

describe('a secret', () => {
  it('is random each time', () => {
    expect(isSecret(drawSecret())).toBe(true);
    expect(drawSecret()).not.toBe(drawSecret());
  });

  const of = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
  it.each([of(24), of(25), of(26), of(64), 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'])('may be %s', (secret) => {
    expect(isSecret(secret)).toBe(true);
  });

  it.each([
    '',
    'whsec_',
    of(23),
    of(65),
    of(24).slice(6),
    `${of(24)}=`,
    of(25).replace(/=+$/, ''),
    `${of(24)} `,
    'whsec_a secret of more than 24 bytes',
    of(32).toUpperCase(),
  ])('may not be %j', (secret) => {
    expect(isSecret(secret)).toBe(false);
  });
});
