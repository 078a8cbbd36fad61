// Judge a PodMonitor (JSON on stdin) by the operator's own types; print what is wrong.
// The validator lets unknown fields pass, as the API server does by dropping them: their
// names are held against the declarations.
import { readFileSync } from "node:fs";
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";

const TYPES = "./node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/";

function unknown(type, object) {
  const text = readFileSync(new URL(`${TYPES}${type}.d.ts`, import.meta.url), "utf8");
  const known = new Set([...text.matchAll(/^ {4}"(\w+)"\??:/gm)].map((found) => found[1]));
  return Object.keys(object).filter((name) => !known.has(name)).map((name) => `${type} has no ${name}`);
}

const monitor = JSON.parse(readFileSync(0, "utf8"));
const problems = unknown("PodMonitorSpec", monitor.spec);
for (const endpoint of monitor.spec.podMetricsEndpoints) {
  problems.push(...unknown("PodMetricsEndpoint", endpoint));
}
try {
  new PodMonitor(monitor).validate();
} catch (error) {
  problems.push(error.message);
}
console.log(problems.join("\n"));
