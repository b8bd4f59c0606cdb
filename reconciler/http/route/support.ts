/** The last activations as a file (`navarch support dump`). For administrators. */
import * as v from "valibot";
import { ACTIVATIONS_MAX } from "../../runtime/recorder.ts";
import { saveActivations } from "../view/activation.ts";
import type { App, RoutePorts } from "./app.ts";
import { needs, queryNumber, readQuery, Refusal } from "./request.ts";
import { openSliced } from "./sliced.ts";

/** A file of thousands of nodes is tens of megabytes, and its reader may be far away. */
const READ_MS_MAX = 10 * 60_000;

const EXPECTED = `expected a whole number from 1 to ${ACTIVATIONS_MAX}`;
const DumpQuery = v.object({ last: queryNumber(EXPECTED, 1) });

export function supportRoutes(api: App, { reconciler, clock }: RoutePorts): void {
  // By POST, which the audit keeps.
  api.post("/admin/activations", needs("admin"), (c) => {
    const { last = ACTIVATIONS_MAX } = readQuery(c, DumpQuery);
    if (last > ACTIVATIONS_MAX) throw new Refusal("invalid_argument", `last: ${EXPECTED}`);
    const activations = reconciler.activations(last);
    if (activations.length === 0) {
      const message = "no decisions recorded yet: not the leader, or just started";
      throw new Refusal("not_found", message);
    }
    const lines = saveActivations(activations, reconciler.activeConfig(), clock.wallMs());
    return c.body(openSliced(lines, READ_MS_MAX), 200, { "Content-Type": "application/jsonl" });
  });
}
