/** What names of secrets have in them, as Spring Boot masks them, and what else is usual. */
const SECRET =
  /pass(?:word|wd|phrase)?|secret|token|credential|private|api[_-]?key|access[_-]?key|encrypt|cipher|salt|dsn$|vcap_services|sun\.java\.command/i;

/** `db.key`, `signing-key` and the like, but not `keyspace` or `monkey`. */
const KEY = /(?:^|[._-])key$|[a-z]Key$/;

/** Whether a key's name says that its value is a secret, to be masked wherever configuration is shown. */
export function isSecretKey(key: string): boolean {
  return SECRET.test(key) || KEY.test(key);
}
