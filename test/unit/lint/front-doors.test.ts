import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { entries } from './entries.js';
import { signaturesOf } from './signatures.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** What the house keeps to itself: an editor offers every exported name for import, `describe` in every spec file. */
const INTERNAL = [
  ...['assertHost', 'assertPort', 'authority', 'codeOf', 'describe', 'fromFileName', 'isPrototypeKey', 'toFileName'],
  ...['createRegistration', 'diffInstances', 'isEmptyDiff', 'keepIdentity', 'mergeSnapshots', 'patchRegistration'],
  ...['sameInstance', 'sameMetadata', 'unknownSnapshot', 'BackendSet', 'DiscoveryRuntime', 'InstanceBinder'],
  ...['Balancer', 'TrackedEndpoint', 'FIRST_TRY', 'OutlierDetector', 'createLoadBalancer', 'pickUntried', 'wasTried'],
];

const doors = entries();
const signatures = signaturesOf(doors);

describe.each([...doors])('the entry %s', (entry, room) => {
  it('names one by one what it exports', () => {
    const source = readFileSync(`${root}lib/${room === '' ? '' : `${room}/`}index.ts`, 'utf8');
    expect(source).not.toMatch(/export \* /);
  });

  it('keeps to itself what is the house’s own', () => {
    const { values = [], types = [] } = signatures.get(entry) ?? {};
    expect([...values, ...types].filter((name) => INTERNAL.includes(name))).toEqual([]);
  });

  it('exports every type that its signatures mention', () => {
    expect(signatures.get(entry)?.missing).toEqual([]);
  });
});

it('the root has what an app needs: an addition is a decision', () => {
  expect(signatures.get('.')?.values).toEqual([
    'AppRegistration',
    'ConfigClient',
    'ConfigProperties',
    'ConfigProperty',
    'ConfigRef',
    'ConfigValue',
    'DIAGNOSTICS_CHANNEL',
    'DiscoverableClient',
    'DiscoveryClient',
    'DiscoveryError',
    'DiscoveryExceptionFilter',
    'DiscoveryModule',
    'DiscoveryTelemetry',
    'EventHub',
    'HealthCheckOf',
    'HttpServiceClient',
    'INSTANCE_STATUSES',
    'ImplementsClient',
    'NoInstanceError',
    'NoSnapshotError',
    'OnConfigChange',
    'OnInstancesChange',
    'STRATEGIES',
    'ServiceFetch',
    'ServiceHttpClient',
    'ServiceRegistry',
    'ValidateResponse',
    'discoverable',
    'enableGracefulShutdown',
    'firstNonLoopbackIp',
    'getConfigRefToken',
    'getDiscoverableClientToken',
    'remote',
    'secretFiles',
    'springCipher',
  ]);
});
