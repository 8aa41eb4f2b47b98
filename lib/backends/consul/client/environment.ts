import { defined, DiscoveryError } from '../../../model/index.js';
import { flagOf, type EnvironmentOption, type TlsOptions, type Variables } from '../../../backend/index.js';

const TLS = ['CONSUL_CACERT', 'CONSUL_CLIENT_CERT', 'CONSUL_CLIENT_KEY', 'CONSUL_TLS_SERVER_NAME'] as const;

/** The variables of Consul's own tools. */
export const CONSUL_ENVIRONMENT = {
  address: {
    variables: ['CONSUL_HTTP_ADDR', 'CONSUL_HTTP_SSL'],
    read: (_, variables) => {
      const address = (variables['CONSUL_HTTP_ADDR'] ?? '').trim();
      const secure = flagOf(variables, 'CONSUL_HTTP_SSL') === true;
      if (!secure) return address === '' ? undefined : address;
      // The tools speak TLS to the port of plain HTTP too, if that is what they were told.
      if (address === '') return 'https://127.0.0.1:8500';
      return /^[a-z]+:\/\/|^\//i.test(address) ? address.replace(/^(?:http|tcp):/i, 'https:') : `https://${address}`;
    },
  },
  tokenFile: { variables: ['CONSUL_HTTP_TOKEN_FILE'], unless: ['token'] },
  token: { variables: ['CONSUL_HTTP_TOKEN'], unless: ['tokenFile'] },
  namespace: { variables: ['CONSUL_NAMESPACE'] },
  partition: { variables: ['CONSUL_PARTITION'] },
  tls: { variables: [...TLS, 'CONSUL_HTTP_SSL_VERIFY'], read: (_, variables) => tlsOf(variables) },
} satisfies Readonly<Record<string, EnvironmentOption>>;

function tlsOf(variables: Variables): TlsOptions | undefined {
  const [caFile, certFile, keyFile, servername] = TLS.map((name) => variables[name]?.trim() || undefined);
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const field = certFile === undefined ? 'CONSUL_CLIENT_CERT' : 'CONSUL_CLIENT_KEY';
    throw new DiscoveryError('INVALID_OPTION', `the variable ${field} is required with the other half of the pair`, {
      field,
    });
  }
  const rejectUnauthorized = flagOf(variables, 'CONSUL_HTTP_SSL_VERIFY') === false ? false : undefined;
  return defined({ caFile, certFile, keyFile, servername, rejectUnauthorized });
}
