/**
 * Other fleets with pools of our names: an administrator adopts one, whose state was lost, or
 * ignores it (docs/operations/backup-and-restore.md#lost-state). Both may be repeated.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { FleetChangeView } from "../../../schema/fleet-view.ts";
import { adoptFleet, type FleetAnswer, ignoreFleet } from "../../core/fold/adopt-fleet.ts";
import { viewFleets } from "../view/stranger.ts";
import type { App, Env, RoutePorts } from "./env.ts";
import { needs, readAsked, reasonOrNone, Refusal, sayNear, takes } from "./request.ts";

const Asked = v.strictObject({ reason: reasonOrNone });

type Change = Parameters<typeof ignoreFleet>;
type Decide = (asked: Change[0], work: Change[1]) => FleetAnswer;

export function otherFleetRoutes(api: App, ports: RoutePorts): void {
  const { reconciler } = ports;
  api.get("/fleets", needs("viewer"), (c) => c.json(viewFleets(reconciler.fleet())));
  const adopt: Decide = (asked, work) => adoptFleet(asked, reconciler.activeConfig(), work);
  const ignore: Decide = ignoreFleet;
  api.post("/fleets/:id/adopt", needs("admin"), takes(Asked), (c) => decide(c, ports, adopt));
  api.post("/fleets/:id/ignore", needs("admin"), takes(Asked), (c) => decide(c, ports, ignore));
}

async function decide(c: Context<Env>, ports: RoutePorts, how: Decide): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Asked);
  const id = c.req.param("id") ?? "";
  c.set("target", id);
  const answers: FleetAnswer[] = [];
  // Judged inside the change, so that no purchase of this process comes between.
  await ports.reconciler.change((work) => {
    answers.push(how({ fleet: ports.reconciler.fleet(), id, by, reason: body.reason, now }, work));
  });
  const answer = answers[0] ?? { kind: "unknown" as const, known: [] };
  if (answer.kind === "refused") throw new Refusal("conflict", answer.message);
  if (answer.kind === "unknown") {
    const message = `no machines of a fleet ${id} have the name of a pool`;
    throw new Refusal("not_found", `${message}${sayNear(id, answer.known)}`);
  }
  return c.json({ fleet_id: id, changed: answer.changed } satisfies FleetChangeView);
}
