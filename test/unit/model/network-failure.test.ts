import { describe, expect, it } from 'vitest';
import { neverArrived } from '../../../lib/backend/index.js';
import { failureOf } from '../../../lib/balancing/outcome.js';
import { callFailureOf, DiscoveryError, networkFailureOf } from '../../../lib/model/index.js';

const coded = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more });

/** The three that go by the list: what a call failed by, whether another node may be called, whether a write arrived. */
const decisions = (error: unknown) => [failureOf(error), callFailureOf(error), neverArrived(error)];

describe('one list decides what a failure on the network means', () => {
  it.each([
    ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
    ...['EADDRNOTAVAIL', 'UND_ERR_CONNECT_TIMEOUT', 'EPROTO'],
    ...['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'CERT_REVOKED', 'CERT_UNTRUSTED', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ...['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ...['UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ])('%s: nothing was sent', (code) => {
    expect(networkFailureOf(code)).toBe('unsent');
    expect(decisions(coded(code))).toEqual(['unsent', 'unanswered', true]);
    const inside = new DiscoveryError('BACKEND_UNAVAILABLE', 'm', { attempts: [{ target: 't', reason: 'r', code }] });
    expect(neverArrived(inside)).toBe(true);
  });

  it.each(['ECONNRESET', 'EPIPE', 'ERR_SOCKET_CLOSED', 'UND_ERR_SOCKET'])('%s: it may have arrived', (code) => {
    expect(decisions(coded(code))).toEqual(['broken', 'unanswered', false]);
  });

  it.each(['ECONNABORTED', 'ETIMEDOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])('%s: too late', (code) => {
    expect(decisions(coded(code))).toEqual(['timeout', 'unanswered', false]);
  });

  it.each([
    'ERR_NETWORK',
    'ESOCKETTIMEDOUT',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_HTTP2_ERROR',
    'HPE_INVALID_CONSTANT',
  ])('%s: nobody knows how far it came', (code) =>
    expect(decisions(coded(code))).toEqual(['unclear', 'unanswered', false]),
  );

  it.each([
    'ERR_BAD_REQUEST',
    'ERR_CANCELED',
    'ENOENT',
    'EACCES',
    'UND_ERR_ABORTED',
    'UND_ERR_INVALID_ARG',
    'NO_SNAPSHOT',
    '',
  ])('%s: not of the network', (code) => {
    expect(networkFailureOf(code)).toBeUndefined();
    expect(decisions(coded(code))).toEqual(['unclear', undefined, false]);
  });

  it('the system call decides where the code is of any: a firewall’s refusal is no connection', () => {
    expect(decisions(coded('EPERM', { syscall: 'connect' }))).toEqual(['unsent', 'unanswered', true]);
    expect(neverArrived(coded('ETIMEDOUT', { syscall: 'connect' }))).toBe(true);
    expect(neverArrived(coded('ETIMEDOUT', { syscall: 'read' }))).toBe(false);
    expect(failureOf(coded('ETIMEDOUT', { cause: { syscall: 'read' } }))).toBe('broken');
  });

  it('an error of ours that a missing connection is the cause of is not that', () => {
    const cause = coded('ECONNREFUSED', { syscall: 'connect' });
    expect(failureOf(new DiscoveryError('NO_SNAPSHOT', 'm', { cause }))).toBe('unclear');
  });
});
