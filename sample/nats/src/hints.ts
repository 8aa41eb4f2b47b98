const bucket = `${process.env['NATS_SAMPLE'] ?? 'sample'}-config`;

/** What to try. Needs a NATS server with JetStream: `npm run servers -- up nats`, or NATS_URL. */
export const hints = (url: string, stock: number): string => `
over HTTP   ${url}            one of the two stock processes, found in the presence bucket
over NATS   ${url}/price/21   their micro service, by queue group; /price/101 is an error answer
            ${url}/peers      what has been discovered, and the statistics of both
page        ${url}/discovery  what it sees, and a switch that takes it out of traffic
configure   nats kv put ${bucket} application.yaml 'greeting: hello'
fail over   kill -9 ${stock}   and go on calling
stop        Ctrl-C
`;
