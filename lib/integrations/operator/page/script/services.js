// Services and their instances.

import { byId, el, keyed, pill, setPill, setText, svg } from './dom.js';
import { milliseconds, number, plural } from './words.js';
import { page } from './state.js';

const SAMPLES = 60;
const MAX_OPEN = 8;
/** Over how many samples a share of calls is counted. */
const SHARE_OVER = 15;

function stateOf(service) {
  if (!service.watched) return ['info', 'not used here'];
  if (service.state === 'unknown') return ['bad', 'not known'];
  if (service.routable === 0) return ['bad', 'nobody to call'];
  if (service.state === 'stale') return ['warn', 'as of before the outage'];
  if (service.ejected > 0) return ['warn', 'some left out'];
  return service.down > 0 ? ['warn', 'some down'] : ['good', 'fine'];
}

function countsOf(service) {
  if (!service.watched) return '';
  const parts = [plural(service.routable, 'takes calls', 'take calls')];
  if (service.ejected > 0) parts.push(number.format(service.ejected) + ' left out');
  if (service.down > 0) parts.push(number.format(service.down) + ' down');
  return parts.join(', ');
}

function toggle(name) {
  if (page.open.has(name)) page.open.delete(name);
  else {
    page.open.set(name, { history: new Map() });
    if (page.open.size > MAX_OPEN) page.open.delete(page.open.keys().next().value);
  }
  page.chosen = true;
  page.poll();
}

let bodies = 0;

function newService({ service }) {
  bodies += 1;
  const id = 'instances-' + bodies;
  const button = el('button', { type: 'button', className: 'toggle', 'aria-controls': id, textContent: service });
  button.addEventListener('click', () => toggle(service));
  return el(
    'div',
    { className: 'service' },
    el('div', { className: 'line' }, el('h3', {}, button), pill('info', ''), el('span', { className: 'note' })),
    el('p', { className: 'problem' }),
    el('div', { id, className: 'scroll', hidden: true }),
  );
}

function updateService(element, service) {
  const [line, problem, body] = element.children;
  const [level, word] = stateOf(service);
  const shown = page.open.get(service.service);
  line.querySelector('button').setAttribute('aria-expanded', String(shown !== undefined));
  setPill(line.children[1], level, word);
  setText(line.children[2], countsOf(service));
  const error = (shown && shown.error) || (service.error && service.error.message) || '';
  setText(problem, error);
  body.hidden = shown === undefined || shown.told === undefined;
  if (!body.hidden) renderInstances(body, shown);
}

export function renderServices() {
  if (page.lastServices === undefined) return;
  const { services, total, watched, error } = page.lastServices;
  keyed(byId('service-list'), services, ({ service }) => service, newService, updateService);
  const note = [plural(watched, 'in use', 'in use')];
  if (services.length < total) note.push(number.format(services.length) + ' of ' + number.format(total) + ' shown');
  if (error) note.push('the registries could not be asked: ' + error);
  if (total === 0)
    note.push(byId('service-search').value === '' ? 'this app has called nobody yet' : 'none of that name');
  setText(byId('services-note'), note.join(' · '));
  byId('more-services').hidden = services.length >= total || page.serviceLimit >= 500;
}

const COLUMNS = ['Instance', 'State', 'Share of calls', 'Response time', 'Under way', 'Failed', 'Where'];

function newInstanceTable(label) {
  return el(
    'table',
    { className: 'stack', role: 'table', 'aria-label': label },
    el(
      'thead',
      { role: 'rowgroup' },
      el(
        'tr',
        { role: 'row' },
        ...COLUMNS.map((name) => el('th', { scope: 'col', role: 'columnheader', textContent: name })),
      ),
    ),
    el('tbody', { role: 'rowgroup' }),
  );
}

function newInstance() {
  const cell = (index, ...children) => el('td', { role: 'cell', 'data-label': COLUMNS[index] }, ...children);
  const bar = svg('svg', { class: 'bar', width: 72, height: 10, 'aria-hidden': true });
  bar.append(svg('rect', { width: 0, height: 10 }));
  const spark = svg('svg', { class: 'spark', width: 96, height: 22, viewBox: '0 0 96 22', role: 'img' });
  spark.append(svg('polyline', { points: '' }));
  return el(
    'tr',
    { role: 'row' },
    cell(0, el('span', { className: 'text' }), el('span', { className: 'small' })),
    cell(1, pill('info', ''), el('span', { className: 'small' })),
    cell(2, el('span', { className: 'chart' }, bar, el('span')), el('span', { className: 'small' })),
    cell(3, el('span', { className: 'chart' }, spark, el('span'))),
    cell(4, el('span')),
    cell(5, el('span')),
    cell(6, el('span', { className: 'text' }), el('span', { className: 'small' })),
  );
}

function instanceState(one) {
  if (one.state === 'ejected') return ['bad', 'left out', 'for ' + one.ejectedFor + ' more'];
  if (one.state === 'down') return ['warn', one.status === 'UP' ? 'no weight' : one.status, ''];
  if (one.onProbation) return ['warn', 'on trial', 'one call at a time'];
  return ['good', 'takes calls', one.weight === 1 ? '' : 'weight ' + one.weight];
}

/** What an instance did lately: of its samples the newest last. */
function remember(history, one, at) {
  let past = history.get(one.url);
  if (past === undefined) history.set(one.url, (past = []));
  const before = past[past.length - 1];
  // It was away, and is counted anew.
  if (before !== undefined && one.calls < before.calls) past.length = 0;
  past.push({ at, calls: one.calls, latencyMs: one.latencyMs });
  if (past.length > SAMPLES) past.shift();
  return past;
}

function callsLately(past) {
  if (past === undefined || past.length === 0) return { calls: 0, perSecond: 0 };
  const newest = past[past.length - 1];
  const oldest = past[Math.max(0, past.length - 1 - SHARE_OVER)];
  const calls = newest.calls - oldest.calls;
  return { calls, perSecond: newest.at > oldest.at ? (calls * 1000) / (newest.at - oldest.at) : 0 };
}

function drawSpark(spark, past, name) {
  const values = past.map(({ latencyMs }) => latencyMs);
  const top = Math.max(...values, 0.001);
  const step = 96 / (SAMPLES - 1);
  const points = [];
  values.forEach((value, at) => {
    // Nothing was measured yet.
    if (value === 0) return;
    const x = (SAMPLES - values.length + at) * step;
    points.push(x.toFixed(1) + ',' + (20 - (value / top) * 18).toFixed(1));
  });
  spark.firstChild.setAttribute('points', points.join(' '));
  const now = milliseconds(values[values.length - 1] || 0);
  const most = milliseconds(Math.max(...values));
  spark.setAttribute('aria-label', 'response time of ' + name + ': now ' + now + ', at most ' + most);
}

function renderInstances(body, shown) {
  const { told, history, at } = shown;
  let table = body.querySelector('table');
  if (table === null) {
    table = newInstanceTable('instances of ' + told.service);
    body.append(table, el('p', { className: 'note' }));
  }
  if (shown.rendered !== at) {
    shown.rendered = at;
    for (const one of told.instances) remember(history, one, told.at);
    const there = new Set(told.instances.map(({ url }) => url));
    for (const url of history.keys()) if (!there.has(url)) history.delete(url);
  }
  const lately = new Map(told.instances.map((one) => [one.url, callsLately(history.get(one.url))]));
  let sum = 0;
  for (const { calls } of lately.values()) sum += calls;
  keyed(
    table.tBodies[0],
    told.instances,
    ({ url }) => url,
    newInstance,
    (row, one) => {
      const [name, state, share, time, pending, failed, where] = row.children;
      setText(name.children[0], one.url);
      setText(name.children[1], one.id === one.url.replace(/^[a-z0-9+.-]+:\/\//, '') ? '' : one.id);
      const [level, word, more] = instanceState(one);
      setPill(state.children[0], level, word);
      setText(state.children[1], more);
      const { calls, perSecond } = lately.get(one.url);
      const part = sum === 0 ? 0 : calls / sum;
      const [bar, text] = share.children[0].children;
      bar.firstChild.setAttribute('width', (part * 72).toFixed(1));
      setText(text, sum === 0 ? 'no calls' : Math.round(part * 100) + ' %');
      const rate = perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1);
      setText(share.children[1], (sum === 0 ? '' : rate + '/s, ') + number.format(one.calls) + ' in all');
      const [spark, now] = time.children[0].children;
      drawSpark(spark, history.get(one.url), one.url);
      setText(now, milliseconds(one.latencyMs));
      setText(pending.children[0], number.format(one.pending));
      setText(
        failed.children[0],
        one.failures === 0
          ? '0'
          : number.format(one.failures) + ' (' + Math.round((1 - one.health) * 100) + ' % lately)',
      );
      const places = [
        ...(one.zone === undefined ? [] : ['zone ' + one.zone]),
        ...(one.lane === undefined ? [] : ['lane ' + one.lane]),
        ...one.tags,
      ];
      setText(where.children[0], places.join(', '));
      const metadata = Object.entries(one.metadata).map(([key, value]) => key + '=' + value);
      setText(where.children[1], [one.backend, ...metadata].join(' · '));
    },
  );
  const left = told.total - told.instances.length;
  setText(
    body.lastElementChild,
    told.total === 0 ? 'None is registered.' : left > 0 ? number.format(left) + ' more are not shown' : '',
  );
}
