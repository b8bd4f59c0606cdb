import { expect, test } from "bun:test";
import type { NodeId, StreamId } from "../../../schema/id.ts";
import { logXid, newAgent } from "../../../test/world/agent.ts";
import { Metrics } from "./metrics.ts";
import { emptyChange } from "../../core/store.ts";

test("committed() counts codes that no driver has as one, so that none can fill the page", async () => {
  const metrics = new Metrics();
  const agent = newAgent("n");
  for (const code of [79, 999, 1_000, 4_711, 1_000_000]) logXid(agent, code, 0, 1_767_225_600_000);
  const told = agent.spool.map(({ seq, finding }) => {
    return { node: "n" as NodeId, stream: "s" as StreamId, seq, receivedAt: 1, finding };
  });
  metrics.committed({ ...emptyChange(), findings: told });
  let page = "";
  for await (const slice of metrics.slices()) page += String(slice);
  const lines = page.split("\n");
  expect(lines.filter((line) => line.startsWith("navarch_xid_errors_total{"))).toEqual([
    'navarch_xid_errors_total{pool="",xid="79"} 1',
    'navarch_xid_errors_total{pool="",xid="999"} 1',
    'navarch_xid_errors_total{pool="",xid="other"} 3',
  ]);
});
