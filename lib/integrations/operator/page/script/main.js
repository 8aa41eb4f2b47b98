// Going on: every other second everything is asked anew, while the page is seen.

import { byId, setText } from './dom.js';
import { clock } from './words.js';
import { Unanswered, ask } from './ask.js';
import { page } from './state.js';
import { renderBackends, renderHead, renderRegistration, renderTroubles } from './glance.js';
import { renderServices } from './services.js';
import { renderRoutes } from './routes.js';
import { listen, renderEventsNote } from './events.js';
import { renderConfiguration } from './configuration.js';

const EVERY_MS = 2000;

function render() {
  renderHead();
  renderTroubles();
  renderEventsNote();
  if (page.overview === undefined) return;
  renderRegistration();
  renderBackends();
  renderServices();
  renderRoutes();
  renderConfiguration();
}

async function pollServices() {
  const search = byId('service-search').value;
  const known = byId('known').checked;
  const query = new URLSearchParams({ limit: String(page.serviceLimit), search, ...(known ? { known: 'true' } : {}) });
  page.lastServices = await ask('services?' + query);
  // Whoever comes to a page sees something: the first few, which are the worst, until somebody chooses.
  if (!page.chosen && page.open.size === 0) {
    for (const { service } of page.lastServices.services.filter((one) => one.watched).slice(0, 3))
      page.open.set(service, { history: new Map() });
  }
  const listed = new Set(page.lastServices.services.map(({ service }) => service));
  await Promise.all(
    [...page.open].map(async ([name, shown]) => {
      if (!listed.has(name)) return;
      try {
        shown.told = await ask('services/' + encodeURIComponent(name));
        shown.at = shown.told.at;
        shown.error = undefined;
      } catch (error) {
        shown.error = error.message;
        if (error instanceof Unanswered) throw error;
      }
    }),
  );
  renderServices();
}

async function pollKeys() {
  page.keys = await ask('configuration?' + new URLSearchParams({ limit: '100', search: byId('key-search').value }));
}

let polling;
let soon;
let running;
let again = false;

async function askAll() {
  clearTimeout(soon);
  soon = undefined;
  try {
    page.overview = await ask('overview');
    await Promise.all([pollServices(), pollKeys()]);
    page.failure = undefined;
    page.failedSince = undefined;
  } catch (error) {
    page.failure = error.message;
    page.failedSince = page.failedSince || Date.now();
  }
  render();
}

/** Asks for everything. Whoever asks meanwhile gets what is asked for after that: what a change has come to is on the page. */
function poll() {
  if (running !== undefined) {
    again = true;
    return running;
  }
  const run = async () => {
    do {
      again = false;
      await askAll();
    } while (again);
    running = undefined;
  };
  running = run();
  return running;
}

/** One after the other, and nobody asks while nobody looks. */
async function goOn() {
  clearTimeout(polling);
  if (!document.hidden) await poll();
  polling = setTimeout(() => void goOn(), page.failure === undefined ? EVERY_MS : 2 * EVERY_MS);
}

function pollSoon() {
  if (soon === undefined) soon = setTimeout(() => void poll(), 300);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void goOn();
});

function change(path, body, problem) {
  return ask(path, body).then(
    () => {
      setText(problem, '');
      return poll();
    },
    (error) => {
      setText(problem, error.message);
      return poll();
    },
  );
}

byId('pause').addEventListener('click', () => {
  byId('pause-form').hidden = false;
  byId('pause').hidden = true;
  byId('reason').focus();
});
const closeForm = () => {
  byId('pause-form').hidden = true;
  byId('reason').value = '';
  renderRegistration();
};
byId('pause-cancel').addEventListener('click', () => {
  closeForm();
  byId('pause').focus();
});
byId('pause-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const reason = byId('reason').value;
  void change('registration/pause', { reason }, byId('registration-problem')).then(() => {
    if (byId('registration-problem').textContent === '') closeForm();
    if (!byId('resume').hidden) byId('resume').focus();
  });
});
byId('resume').addEventListener('click', () => {
  void change('registration/resume', {}, byId('registration-problem')).then(() => {
    if (!byId('pause').hidden) byId('pause').focus();
  });
});
byId('refresh').addEventListener('click', () => {
  const button = byId('refresh');
  button.disabled = true;
  setText(byId('refreshed'), 'asking…');
  void ask('refresh', {})
    .then(
      ({ services, configuration }) => {
        const bad = [services, configuration].filter((one) => one !== 'done');
        setText(byId('refreshed'), bad.length === 0 ? 'asked at ' + clock(Date.now()) : bad.join('; '));
      },
      (error) => setText(byId('refreshed'), error.message),
    )
    .then(() => {
      button.disabled = false;
      return poll();
    });
});
byId('more-services').addEventListener('click', () => {
  page.serviceLimit += 50;
  void poll();
});
for (const id of ['service-search', 'key-search']) byId(id).addEventListener('input', pollSoon);
byId('known').addEventListener('change', () => void poll());
byId('grave-only').addEventListener('change', ({ target }) => {
  byId('event-list').classList.toggle('grave-only', target.checked);
});

page.poll = () => void poll();
page.pollSoon = pollSoon;
listen();
void goOn();
