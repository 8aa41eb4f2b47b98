import { createSign, generateKeyPairSync } from 'node:crypto';

/** A key pair, and tokens signed with it, for Consul's JWT auth method. */
export function readJwtKeys(): Promise<{
  readonly publicPem: string;
  readonly sign: (claims: Readonly<Record<string, string>>) => Promise<string>;
}> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return Promise.resolve({
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign: (claims) => {
      const now = Math.floor(Date.now() / 1000);
      const head = encode({ alg: 'RS256', typ: 'JWT' });
      const body = encode({ ...claims, iat: now - 5, nbf: now - 5, exp: now + 60 });
      const signature = createSign('RSA-SHA256').update(`${head}.${body}`).sign(privateKey).toString('base64url');
      return Promise.resolve(`${head}.${body}.${signature}`);
    },
  });
}
