// Share one ProxyAgent, and read every body: node undici_shared.js URL N
import { fetch, ProxyAgent } from "undici";

const [url, count] = process.argv.slice(2);
const { HTTP_PROXY, HTTPS_PROXY } = process.env;
const uri = url.startsWith("https:") ? HTTPS_PROXY : HTTP_PROXY;
// Without proxyTunnel: false it sends CONNECT for http:// URLs as well.
const dispatcher = new ProxyAgent({ uri, proxyTunnel: false });
for (let i = 0; i < Number(count); i++) {
  const response = await fetch(url, { dispatcher });
  if (!response.ok) throw new Error(response.statusText);
  console.log(await response.text());
}
await dispatcher.close();
