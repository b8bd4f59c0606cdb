/** What does not work is told by readiness, the safety status, its page and the metrics alike. */
import { afterEach, expect, test } from "bun:test";
import { openWorldApp } from "../../../test/world/app.ts";
import { logIn } from "../../../test/world/browser.ts";
import { closeWorlds, fleet, threshold } from "../../../test/world/story.ts";
import type { World } from "../../../test/world/world.ts";

afterEach(closeWorlds);

async function toldOf(w: World) {
  const a = openWorldApp(w);
  const text = async (path: string): Promise<string> => await (await a.app.request(path)).text();
  const ready = await a.app.request("/readyz");
  const safety = (await a.call("GET", "/v1/safety")).body;
  const metrics = await text("/metrics");
  const page = (await (await logIn(a.app, w)).get("/safety")).text;
  return { a, ready: [ready.status, await ready.text()], safety, metrics, page };
}

test("a provider whose instances cannot be listed is told by readiness, status and page", async () => {
  const w = await fleet(2, threshold(1));
  expect((await toldOf(w)).ready).toEqual([200, "ready\n"]);
  w.cloud.list = async () => ({ kind: "failed", class: "auth", message: "no right to list" });
  const [name = ""] = w.config.providers.map((one) => one.name);
  await w.until(() => w.reconciler.lastSight()?.providers.get(name)?.trouble != null, 300);
  const { ready, safety, metrics, page } = await toldOf(w);
  // Agents and people still reach it, and a stranger learns no reason.
  expect(ready).toEqual([200, `ready\ndegraded: provider ${name}\n`]);
  const why = expect.stringContaining("its instances cannot be listed: auth: no right to list");
  expect<unknown>(safety["degraded"]).toEqual([{ part: "provider", name, why }]);
  expect(page).toContain("no right to list");
  expect(metrics).toMatch(/^navarch_provider_usable\{[^}]*\} 0$/m);
});

test("activations that fail are told by readiness, the metrics and the status", async () => {
  const w = await fleet(1, threshold(1));
  const a = openWorldApp(w);
  w.reconciler.failure = () => "activations fail: disk full";
  expect(String((await a.call("GET", "/v1/safety")).body["broken"])).toContain("disk full");
  const metrics = await (await a.app.request("/metrics")).text();
  expect(metrics).toContain('navarch_degraded{part="activations"} 1');
});

test("a metrics port that is not open is told by readiness, the metrics and the status", async () => {
  const w = await fleet(1, threshold(1));
  const a = openWorldApp(w);
  const metricsOf = async (): Promise<string> => await (await a.app.request("/metrics")).text();
  expect(await metricsOf()).toContain('navarch_degraded{part="metrics_port"} 0');
  a.metrics.portProblem = "server.metrics_port 9100 cannot be opened: EADDRINUSE";
  const ready = await a.app.request("/readyz");
  expect([ready.status, await ready.text()]).toEqual([200, "ready\ndegraded: metrics_port\n"]);
  const why = "server.metrics_port 9100 cannot be opened: EADDRINUSE";
  const { body } = await a.call("GET", "/v1/safety");
  expect<unknown>(body["degraded"]).toEqual([{ part: "metrics_port", name: "", why }]);
  expect(await metricsOf()).toContain('navarch_degraded{part="metrics_port"} 1');
});
