/** V52: what the scripts of a `command` provider print is in the audit of a control plane. */
import { afterAll, expect, test } from "bun:test";
import { buildStale, Plane, until } from "../fixture/plane/plane.ts";

const SECRET = "s3cr3t-of-the-cloud";
const CONFIG = `
server: { address: 127.0.0.1:0 }
providers:
  mine:
    type: command
    protocol: shell
    start: |
      echo "logged in with $MY_CLOUD_TOKEN" >&2
      echo "sold out" >&2
      exit 69
    stop: exit 66
    list: "true"
pools:
  - name: training
    provider: mine
    instance_type: h100-8x
    scaling: { min_nodes: 1, max_nodes: 1 }
`;

const plane = new Plane(CONFIG, { MY_CLOUD_TOKEN: SECRET });
afterAll(() => plane.destroy(), 60_000);

test("V52: a start that is refused is in the audit, with what it printed and no secret", async () => {
  await buildStale();
  await plane.start();
  type Row = { verb: string; kind: string; code: string; who: string; detail: string };
  const row = await until("a row of the script", 60_000, async () => {
    const { audit } = await plane.get<{ audit: Row[] }>("/audit?kind=script");
    return audit[0] ?? null;
  });
  expect(row).toMatchObject({ verb: "start", kind: "script", code: "refused", who: "reconciler" });
  expect(row.detail).toBe("exit status 69; stderr: logged in with ***\nsold out");
  const events = await (await plane.fetch("/v1/events?limit=200")).text();
  expect(events).toContain("sold out");
  expect(events).not.toContain(SECRET);
  expect(plane.log()).not.toContain(SECRET);
}, 240_000);
