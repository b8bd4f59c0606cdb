import { afterEach, expect, test } from "bun:test";
import { openWorldApp } from "../../../test/world/app.ts";
import { closeWorlds, fleet } from "../../../test/world/story.ts";
import type { Asked, ConsoleCluster } from "../../core/console/cluster.ts";
import type { Hpa } from "../../core/console/hpa.ts";
import { HpaLog } from "../../core/console/hpa-log.ts";

afterEach(closeWorlds);

const hpa = (namespace: string, target: string, desired: number): Hpa => ({
  ...{ namespace, name: `${target}-hpa`, uid: `${namespace}/${target}`, target, min: 1, max: 9 },
  ...{ current: 1, desired, limit: null, metrics: [] },
});

async function open() {
  const log = new HpaLog();
  log.take([hpa("a-b", "c", 1), hpa("a", "b-c", 1), hpa("z", "c", 1)], 0);
  log.take([hpa("a-b", "c", 2), hpa("a", "b-c", 3), hpa("z", "c", 4)], 60_000);
  let answer: Asked<HpaLog> = { kind: "ok", value: log };
  const { app, ports } = openWorldApp(await fleet(1));
  ports.console = { hpas: async () => answer } as unknown as ConsoleCluster;
  const ask = async (path: string, { token = "root", remote = "10.0.0.9" } = {}) => {
    const headers = { Authorization: `Bearer ${token}` };
    const found = await app.request(`/api/hpa-events${path}`, { headers }, { remote });
    return { status: found.status, body: (await found.json()) as Record<string, never> };
  };
  return { ask, ports, fail: (failed: typeof answer) => (answer = failed) };
}

const services = ({ body }: { body: Record<string, unknown> }): string[] =>
  (body["events"] as { namespace: string; service: string }[]).map((one) => {
    return `${one.namespace}/${one.service}`;
  });

test("C13: events newest first, of all services or of one, at most as many as asked", async () => {
  const { ask } = await open();
  expect(services(await ask(""))).toEqual(["z/c", "a/b-c", "a-b/c"]);
  expect(services(await ask("?limit=1"))).toEqual(["z/c"]);
  expect(services(await ask("?namespace=a"))).toEqual(["a/b-c"]);
  expect(services(await ask("/b-c"))).toEqual(["a/b-c"]);
  expect(services(await ask("/a-b%2Fc?limit=5"))).toEqual(["a-b/c"]);
  expect(services(await ask("/c?namespace=z"))).toEqual(["z/c"]);
});

test("C13: a name in several namespaces is no service, and what no object is called is 400", async () => {
  const { ask } = await open();
  expect(await ask("/c")).toEqual({
    status: 409,
    body: { error: "c is in several namespaces: a-b, z", code: "conflict" } as never,
  });
  for (const path of ["/nosuch", "/a%2Fc/timeline", "/a-b-c"]) {
    expect([path, await ask(path)]).toMatchObject([path, { status: 404 }]);
  }
  const bad = ["/A", "/a%2Fb%2Fc", "/%2Fc", "/a%2F", "/..%2Fc", "/c?namespace=A", "?limit=0"];
  for (const path of [...bad, "?limit=1001", "?limit=x", "/a%2Fb-c?namespace=z"]) {
    expect([path, (await ask(path)).status]).toEqual([path, 400]);
  }
});

test("C64: the timeline of a service: replicas, metrics, events and the queue's depth", async () => {
  const { ask, ports } = await open();
  const queue = [
    { timestamp: "1970-01-01T00:00:00.000Z", depth: { high: 1, medium: 2, low: 0, batch: 0 } },
  ];
  ports.queue = { ...ports.queue, depths: () => queue };
  const sample = { currentReplicas: 1, minReplicas: 1, maxReplicas: 9, metrics: [] };
  expect(await ask("/a%2Fb-c/timeline")).toMatchObject({
    status: 200,
    body: {
      ...{ service: "a/b-c", until: "1970-01-01T00:01:00.000Z", queue },
      autoscalers: [
        {
          hpa: "b-c-hpa",
          samples: [
            { timestamp: "1970-01-01T00:00:00.000Z", desiredReplicas: 1, ...sample },
            { timestamp: "1970-01-01T00:01:00.000Z", desiredReplicas: 3, ...sample },
          ],
        },
      ],
      events: [{ kind: "scale-up", fromReplicas: 1, toReplicas: 3 }],
    },
  });
});

test("C13: for administrators on internal networks, and a cluster that fails is told", async () => {
  const { ask, ports, fail } = await open();
  for (const path of ["", "/b-c", "/b-c/timeline"]) {
    expect((await ask(path, { token: "none" })).status).toBe(401);
    expect((await ask(path, { remote: "203.0.113.9" })).status).toBe(403);
    expect((await ask(path, { token: "both" })).status).toBe(200);
  }
  fail({ kind: "failed", code: "cluster_unreachable", message: "may not list" });
  expect(await ask("")).toEqual({
    status: 502,
    body: { error: "may not list", code: "cluster_unreachable" } as never,
  });
  ports.console = null;
  expect((await ask("/b-c")).status).toBe(503);
});
