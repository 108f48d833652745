'use strict'
const $ = (selector) => document.querySelector(selector)
const names = { express: 'Express', go: 'Go' }

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

async function send(path, method = 'POST') {
  const response = await fetch(path, { method })
  if (!response.ok) throw new Error((await response.text()).trim() || `${path}: ${response.status}`)
  return response
}

// act sends a request, then shows the new state.
async function act(path, message) {
  try {
    await send(path)
    await show()
    $('#message').textContent = message
  } catch (err) {
    await show()
    $('#message').textContent = err.message
  }
}

function appCard(app, item, state) {
  const cart = element('ul', { className: 'cart' }, ...state.cart.map((each) => element('li', { textContent: each })))
  if (!state.cart.length) cart.append('empty')
  const add = element('button', { className: 'second', textContent: `Add ${item}` })
  add.onclick = () => act(`/${app}/cart?item=${item}`, `${names[app]} added ${item}.`)
  const actions = element('div', { className: 'actions' }, add)
  if (state.user) {
    const out = element('button', { className: 'second', textContent: `Sign out in ${names[app]}` })
    out.onclick = () => act(`/${app}/logout`, `${names[app]} has signed you out everywhere.`)
    actions.append(out)
  }
  $(`#${app} .language`).textContent = state.language
  $(`#${app} .body`).replaceChildren(
    element('dl', {},
      element('div', {}, element('dt', { textContent: 'Visitor' }), element('dd', { className: 'user', textContent: state.user || 'not signed in' })),
      element('div', {}, element('dt', { textContent: 'Cart' }), element('dd', {}, cart))),
    ...(state.user ? [actions] : []))
}

async function show() {
  const { express } = await (await send('/demo/phase', 'GET')).json()
  const apps = express ? ['express', 'go'] : ['go']
  const states = {}
  for (const app of apps) states[app] = await (await send(`/${app}/state`, 'GET')).json()
  for (const app of apps) appCard(app, app === 'go' ? 'tea' : 'bread', states[app])
  $('#express').classList.toggle('retired', !express)
  if (!express) {
    $('#express .language').textContent = 'stopped'
    $('#express .body').replaceChildren('Its process has ended. Its sessions are kept, so it can come back.')
  }
  const user = states.go.user
  $('#sign-in').hidden = Boolean(user)
  $('#who').hidden = !user
  $('#who').textContent = user && `You are ${user}, in ${apps.map((app) => names[app]).join(' and in ')}.`
  for (const each of document.querySelectorAll('.signs-in')) each.textContent = express ? 'Express' : 'Go'
  $('#phase').textContent = express
    ? 'Express signs visitors in. Go reads and changes the same sessions.'
    : 'Go serves everybody. It has continued the sessions of Express.'
  $('#retire').hidden = !express
  $('#return').hidden = express
  const step = !express ? 2 : user ? 1 : 0
  for (const [n, li] of [...$('#steps').children].entries()) n === step ? li.setAttribute('aria-current', 'step') : li.removeAttribute('aria-current')
}

$('#sign-in').onsubmit = (event) => {
  event.preventDefault()
  const app = $('#retire').hidden ? 'go' : 'express'
  act(`/${app}/login?user=${encodeURIComponent($('#user').value)}`, `${names[app]} has signed you in.`)
}
$('#retire').onclick = () => act('/demo/retire', 'Express is gone, and you are still signed in.')
$('#return').onclick = () => act('/demo/return', 'Express is back, with the sessions that it had.')
show()
