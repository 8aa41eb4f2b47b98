// How the endpoints are asked that lie beside the page.

export class Unanswered extends Error {}

export async function ask(path, body) {
  const options =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, { cache: 'no-store', credentials: 'same-origin', ...options });
  } catch {
    throw new Unanswered('the app does not answer');
  }
  let told;
  try {
    told = await answer.json();
  } catch {
    told = {};
  }
  if (answer.ok) return told;
  if (answer.status === 401 || answer.status === 403) {
    throw new Error('it may not be seen: ' + (told.message || 'the guard said no') + ' (' + answer.status + ')');
  }
  throw new Error((told.message || 'the app failed to answer') + ' (' + answer.status + ')');
}
