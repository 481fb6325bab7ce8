import { expect, it } from 'vitest';
import { wordsOf } from './attempt.ts';

it.each([
  ['EPROTO', 'the TLS handshake failed'],
  ['CERT_HAS_EXPIRED', 'the certificate has expired'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'the certificate is for another host'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'the certificate is not from a known authority'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'the certificate is not from a known authority'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'the certificate is not from a known authority'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'the certificate is not from a known authority'],
  ['EMFILE', 'the request failed (EMFILE)'],
])('%s: %s', (code, words) => {
  expect(wordsOf(Object.assign(new Error('with /a/path'), { code }))).toBe(words);
});
