/**
 * Other fleets with pools of our names: an administrator adopts one, whose state was lost, or
 * ignores it (docs/operations/backup-and-restore.md#lost-state). Both may be repeated.
 */
import type { Context } from "hono";
import * as v from "valibot";
import type { FleetChangeView } from "../../../schema/fleet-view.ts";
import { adoptFleet, type FleetAnswer, ignoreFleet } from "../../core/fold/adopt-fleet.ts";
import { viewFleets } from "../view/stranger.ts";
import type { Env, RoutePorts, Route } from "./route.ts";
import { readAsked, reasonOrNone, Refusal, sayNear } from "./request.ts";

const Asked = v.strictObject({ reason: reasonOrNone });

type Change = Parameters<typeof ignoreFleet>;
type Decide = (asked: Change[0], work: Change[1]) => FleetAnswer;

async function decide(c: Context<Env>, ports: RoutePorts, how: Decide): Promise<Response> {
  const { body, by, now } = await readAsked(c, ports, Asked);
  const id = c.req.param("id") ?? "";
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

export const otherFleetRoutes: readonly Route<RoutePorts>[] = [
  {
    at: "GET /v1/fleets",
    access: "viewer",
    says: "this fleet's id, and other fleets with pools of the same names",
    run: (c, ports) => c.json(viewFleets(ports.reconciler.fleet())),
  },
  {
    at: "POST /v1/fleets/:id/adopt",
    access: "admin",
    act: ["adopt", "fleet"],
    body: Asked,
    says: "take over a fleet whose state was lost: body `reason`",
    run: (c, ports) =>
      decide(c, ports, (asked, work) => adoptFleet(asked, ports.reconciler.activeConfig(), work)),
  },
  {
    at: "POST /v1/fleets/:id/ignore",
    access: "admin",
    act: ["ignore", "fleet"],
    body: Asked,
    says: "leave another fleet alone: body `reason`",
    run: (c, ports) => decide(c, ports, ignoreFleet),
  },
];
