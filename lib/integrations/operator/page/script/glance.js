// What is to be seen at a glance: whether the app takes traffic, what is wrong, its registrations and its backends.

import { LABELS, byId, el, keyed, newRow, pill, setLevel, setPill, setRow, setText } from './dom.js';
import { clock, duration, plural } from './words.js';
import { page } from './state.js';

export function renderHead() {
  const ready = byId('ready');
  if (page.overview === undefined)
    return setPill(ready, page.failure ? 'bad' : 'info', page.failure ? 'NO ANSWER' : 'loading');
  const { app, readiness, registration, at } = page.overview;
  setText(byId('app'), app.name);
  document.title = (readiness.ready && !page.failure ? '' : '(!) ') + app.name + ' – discovery';
  if (page.failure) setPill(ready, 'bad', 'NO ANSWER');
  else if (readiness.stopping) setPill(ready, 'warn', 'SHUTTING DOWN');
  else if (registration.paused !== null) setPill(ready, 'warn', 'PAUSED');
  else setPill(ready, readiness.ready ? 'good' : 'bad', readiness.ready ? 'READY' : 'NOT READY');
  const facts = [
    'up for ' + duration(app.uptimeMs),
    'process ' + app.pid,
    'Node ' + app.node.replace(/^v/, ''),
    ...(app.profiles.length > 0 ? ['profiles ' + app.profiles.join(', ')] : []),
    ...(app.zone === undefined ? [] : ['zone ' + app.zone]),
    (page.failure ? 'as of ' : 'seen ') + clock(at),
  ];
  setText(byId('facts'), facts.join(' · '));
  byId('refresh').hidden = page.overview.readOnly;
}

/** Everything that somebody should look at, the worst first: a level and a line. */
function troubles() {
  if (page.overview === undefined) return page.failure === undefined ? [] : [{ level: 'bad', text: page.failure }];
  const found = [];
  const add = (level, text) => found.push({ level, text });
  const { at, readiness, registration, backends, configuration, services } = page.overview;
  if (page.failure !== undefined) add('bad', 'Since ' + clock(page.failedSince) + ' there is no news: ' + page.failure);
  for (const reason of readiness.reasons) {
    const isMeant = readiness.stopping || (registration.paused !== null && reason.startsWith('it is paused'));
    add(isMeant ? 'warn' : 'bad', 'The app takes no traffic: ' + reason);
  }
  for (const one of registration.registries) {
    if (one.phase === 'registered') continue;
    const confirmed =
      one.confirmedAgoMs === undefined ? 'never confirmed' : 'last confirmed ' + duration(one.confirmedAgoMs) + ' ago';
    const why = one.error === undefined ? '' : ': ' + one.error.message;
    add('bad', 'The registration at ' + one.backend + ' is ' + one.phase + ', ' + confirmed + why);
  }
  const silent = new Set();
  for (const { name, phase, since, error } of backends) {
    if (phase === 'ready') continue;
    const why = error === undefined ? '' : ': ' + error.message;
    if (error !== undefined) silent.add(error.message);
    const what = phase === 'degraded' ? " doesn't answer, for " : ' is ' + phase + ', for ';
    add(phase === 'degraded' ? 'bad' : 'warn', name + what + duration(at - since) + why);
  }
  for (const { since, error } of configuration.problems) {
    if (silent.has(error.message)) continue;
    add('bad', 'The newest configuration is not in force, for ' + duration(at - since) + ': ' + error.message);
  }
  // The list begins with the worst; how many there are in all is known even of those that it doesn't show.
  const listed = page.lastServices === undefined ? [] : page.lastServices.services;
  const names = (is) => {
    const found = listed.filter((one) => one.watched && is(one)).map(({ service }) => service);
    return found.length === 0 ? '' : ', of ' + found.slice(0, 3).join(', ') + (found.length > 3 ? ' and more' : '');
  };
  if (services.ejected > 0) {
    const of = names((one) => one.ejected > 0);
    add('warn', plural(services.ejected, 'instance is', 'instances are') + ' left out for failures' + of);
  }
  if (services.unknown > 0) {
    const of = names((one) => one.state === 'unknown');
    add('bad', 'No registry has told yet who is there of ' + plural(services.unknown, 'service', 'services') + of);
  }
  if (services.stale > 0) {
    const of = names((one) => one.state === 'stale');
    const count = plural(services.stale, 'service', 'services');
    add('warn', 'The instances of ' + count + ' are those of before an outage' + of);
  }
  const rank = { bad: 0, warn: 1, info: 2 };
  return found.sort((a, b) => rank[a.level] - rank[b.level]);
}

export function renderTroubles() {
  const found = troubles();
  const shown =
    found.length > 0 || page.overview === undefined
      ? found
      : [{ level: 'good', text: 'Nothing that this app knows of.' }];
  const worst = ['bad', 'warn', 'info', 'good'].find((level) => shown.some((one) => one.level === level)) || 'info';
  setLevel(byId('troubles'), worst);
  keyed(
    byId('trouble-list'),
    // Of one that only grows older no new line is made, which a screen reader would read out.
    shown.map((one) => ({ ...one, key: one.level + one.text.replace(/\d+ (?:s|min|h|d)\b/g, '') })),
    ({ key }) => key,
    ({ level }) => el('li', {}, pill(level, LABELS[level]), el('span', { className: 'text' })),
    (element, { text }) => setText(element.lastElementChild, text),
  );
}

const PHASES = {
  registered: 'good',
  ready: 'good',
  pending: 'info',
  connecting: 'info',
  retrying: 'bad',
  degraded: 'bad',
};

export function renderRegistration() {
  const { registration, readOnly } = page.overview;
  const body = byId('registration-body');
  let list = body.querySelector('ul');
  if (list === null) body.append(el('dl'), (list = el('ul', { className: 'rows' })));
  const facts = [];
  if (!registration.registers) facts.push(['Registers', 'nothing: it only calls others']);
  else if (registration.service === undefined) facts.push(['Registers', 'not yet']);
  else {
    facts.push(['Service', registration.service], ['Instance', registration.instanceId], ['Address', registration.url]);
    facts.push(['Status', registration.status]);
    const metadata = Object.entries(registration.metadata).map(([key, value]) => key + '=' + value);
    if (metadata.length > 0) facts.push(['Metadata', metadata.join(', ')]);
    if (registration.tags.length > 0) facts.push(['Tags', registration.tags.join(', ')]);
  }
  if (registration.paused !== null) facts.push(['Paused', registration.paused]);
  keyed(
    body.querySelector('dl'),
    facts.flatMap(([name, value]) => [
      { tag: 'dt', key: 'dt ' + name, text: name },
      { tag: 'dd', key: 'dd ' + name, text: value },
    ]),
    ({ key }) => key,
    ({ tag }) => el(tag),
    (element, { text }) => setText(element, text),
  );
  keyed(
    list,
    registration.registries,
    (one) => one.backend + ' ' + one.instanceId,
    newRow,
    (row, one) => {
      const confirmed = one.confirmedAgoMs === undefined ? '' : 'confirmed ' + duration(one.confirmedAgoMs) + ' ago';
      const name = one.instanceId === registration.instanceId ? one.backend : one.backend + ': ' + one.instanceId;
      setRow(row, name, PHASES[one.phase] || 'info', one.phase, confirmed, one.error ? one.error.message : '');
    },
  );
  const mayChange = !readOnly && registration.registers && !registration.stopping && page.failure === undefined;
  const isPaused = registration.paused !== null;
  byId('pause').hidden = !mayChange || isPaused || !byId('pause-form').hidden;
  byId('resume').hidden = !mayChange || !isPaused;
  if (!mayChange || isPaused) byId('pause-form').hidden = true;
}

export function renderBackends() {
  const { backends, at } = page.overview;
  keyed(
    byId('backend-list'),
    backends,
    ({ name }) => name,
    newRow,
    (row, { name, phase, since, error }) => {
      setRow(row, name, PHASES[phase] || 'info', phase, 'for ' + duration(at - since), error ? error.message : '');
    },
  );
}
