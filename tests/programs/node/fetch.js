// Fetch with what Node has itself: NODE_USE_ENV_PROXY=1 node fetch.js URL
const response = await fetch(process.argv[2]);
if (!response.ok) throw new Error(response.statusText);
console.log(await response.text());
