'use strict';
// Keeps an open page up to date: when the monitor says that something has changed, and every half a minute.
(() => {
  const EVERY = 30000;
  const SOONEST = 2000;
  const state = document.getElementById('live');
  const form = document.querySelector('form[role=search]');
  let due = 0;
  let last = Date.now();
  let running = null;

  function say(text, isBad) {
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle('lost', Boolean(isBad));
  }

  // Who has the focus, in words that hold for the new content as well.
  function focused() {
    const element = document.activeElement;
    if (!element || !element.closest('main')) return null;
    if (element.id) return `#${CSS.escape(element.id)}`;
    const path = element.getAttribute('href');
    return path ? `main a[href="${CSS.escape(path)}"]` : null;
  }

  function swap(text) {
    const next = new DOMParser().parseFromString(text, 'text/html');
    const fresh = next.querySelector('main');
    if (!fresh) return false;
    const old = document.querySelector('main');
    const focus = focused();
    const open = [...old.querySelectorAll('details[open][id]')].map((one) => one.id);
    for (const id of open) fresh.querySelector(`#${CSS.escape(id)}`)?.setAttribute('open', '');
    for (const input of old.querySelectorAll('input[id]')) {
      const there = fresh.querySelector(`#${CSS.escape(input.id)}`);
      if (there) there.value = input.value;
    }
    const { scrollX, scrollY } = window;
    old.replaceWith(document.adoptNode(fresh));
    for (const what of ['.brand', 'link[rel=icon]']) {
      const [here, there] = [document.querySelector(what), next.querySelector(what)];
      if (here && there && here.outerHTML !== there.outerHTML) here.replaceWith(document.adoptNode(there));
    }
    document.title = next.title;
    if (focus) document.querySelector(focus)?.focus({ preventScroll: true });
    window.scrollTo(scrollX, scrollY);
    return true;
  }

  async function renew() {
    clearTimeout(due);
    due = 0;
    running?.abort();
    const mine = new AbortController();
    running = mine;
    try {
      const answer = await fetch(location.href, { signal: mine.signal, headers: { Accept: 'text/html' } });
      // Who has to log in again is shown where.
      if (answer.status === 401) return location.reload();
      if (!answer.ok && answer.status !== 404) throw new Error(`status ${answer.status}`);
      swap(await answer.text());
      last = Date.now();
      say('live');
    } catch (error) {
      if (error.name !== 'AbortError') say('no connection', true);
    } finally {
      if (running === mine) running = null;
    }
  }

  function soon() {
    if (due || document.hidden) return;
    due = setTimeout(renew, Math.max(0, last + SOONEST - Date.now()));
  }

  const events = document.body.dataset.events;
  if (events) {
    const source = new EventSource(events);
    source.addEventListener('open', () => say('live'));
    source.addEventListener('change', soon);
    // Without events the page goes on to renew itself now and then, and says if that fails as well.
    source.addEventListener('error', () => say('connecting'));
  }
  setInterval(() => {
    if (!document.hidden && Date.now() - last >= EVERY) renew();
  }, 1000);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && Date.now() - last >= SOONEST) renew();
  });

  if (form) {
    const look = () => {
      const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, '', `${location.pathname}${wanted.size ? `?${wanted}` : ''}`);
      renew();
    };
    let typing = 0;
    form.addEventListener('input', () => {
      clearTimeout(typing);
      typing = setTimeout(look, 200);
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(typing);
      look();
    });
  }
})();
