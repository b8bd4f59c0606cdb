/**
 * An order is answered "done" only once it is stored: with a store that fails, and with one that
 * hangs, no such route answers with success, and nothing of the order is remembered afterwards.
 */
import { afterEach, expect, test } from "bun:test";
import { openWorldApp, type WorldApp } from "../world/app.ts";
import { closeWorlds, fleet, storeOf } from "../world/story.ts";
import type { World } from "../world/world.ts";

afterEach(closeWorlds);

const WHY = { reason: "x" };
const ORDERS: [method: string, path: string, body: unknown][] = [
  ["POST", "/v1/nodes/NODE/cordon", WHY],
  ["POST", "/v1/nodes/NODE/drain", WHY],
  ["POST", "/v1/nodes/NODE/replace", WHY],
  ["DELETE", "/v1/nodes/NODE", WHY],
  ["PUT", "/v1/pools/p/hold", { ...WHY, for: "1h" }],
  ["PUT", "/v1/pools/p/size", { nodes: 2, reason: "x", clamp: false }],
  ["POST", "/v1/pools/p/grow", { by: 1, reason: "x", clamp: false }],
  ["PUT", "/v1/safety/freeze", WHY],
  ["POST", "/v1/tokens", { role: "viewer", label: "l" }],
];

/** What people see of the fleet and its credentials. */
async function shown(a: WorldApp): Promise<string> {
  const paths = ["/v1/nodes", "/v1/pools/p", "/v1/safety", "/v1/tokens"];
  const all: string[] = [];
  for (const path of paths) {
    const { text } = await a.call("GET", path);
    const steady = text.replace(/"blind":\[[^\]]*\]/g, "");
    all.push(steady.replace(/"[^"]*(?:_at|_since|age|heartbeat|seen|time)[^"]*":"?[^,"}]*"?/g, ""));
  }
  return all.join("\n");
}

type Breaking = "fails" | "hangs";

/** The two ways in which an order, and a token, become durable. */
function breakWrites(world: World, how: Breaking): void {
  const store: object = storeOf(world);
  const answer = (): Promise<never> =>
    how === "fails" ? Promise.reject(new Error("SQLITE_FULL")) : new Promise(() => undefined);
  Reflect.set(store, "commit", answer);
  Reflect.set(store, "saveCredential", answer);
}

describeEach("fails");
describeEach("hangs");

function describeEach(how: Breaking): void {
  const name = `with a store that ${how}, %s %s is not answered as done`;
  // Sizes, holds and freezes wait for an activation, which a store that hangs stops with the world.
  const waits = /size$|grow$|hold$|freeze$/;
  const orders = ORDERS.filter(([, path]) => how === "fails" || !waits.test(path));
  test.each(orders)(name, async (method, path, body) => {
    const world = await fleet(1);
    const before = await shown(openWorldApp(world));
    breakWrites(world, how);
    const a = openWorldApp(world);
    const [node = ""] = world.serving();
    let status = 0;
    const asked = a.call(method, path.replace("NODE", node), body).then((answer) => {
      status = answer.status;
    });
    asked.catch(() => (status = 500));
    for (let i = 0; i < 40 && status === 0; i++) {
      await world.clock.pass(250);
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    // 0: the caller still waits, and gives up by itself.
    expect(status === 0 || status >= 400).toBe(true);
    expect([400, 401, 403, 404, 405]).not.toContain(status);
    expect(await shown(openWorldApp(world))).toBe(before);
  }, 20_000);
}
