/**
 * One process of a simulated control plane: what it gives to `compose()` in place of a machine, and
 * its hands on a Kubernetes cluster where the world has one.
 */
import type { Clock, Log } from "../../reconciler/core/clock.ts";
import { ALWAYS } from "../../reconciler/runtime/act/run.ts";
import type { PlanePorts } from "../../reconciler/server/compose.ts";
import type { KubeApi } from "../../reconciler/kubernetes/api.ts";
import { Kubernetes } from "../../reconciler/kubernetes/kubernetes.ts";
import { limited, Limiter } from "../../reconciler/kubernetes/limiter.ts";
import { heard } from "../../reconciler/kubernetes/refusal-log.ts";
import type { Config } from "../../schema/config.ts";
import type { Gate } from "./gate.ts";
import { Line } from "./line.ts";
import { seeded } from "./setting.ts";

/**
 * What a control plane has that runs alone, in one process, on nobody's machine: always the lead,
 * nobody to set machines up or to prove orders, and time where a real one counts its own work.
 */
export function aloneOn(clock: Clock): Omit<Solitary, "store" | "log" | "scheduler"> {
  return {
    clock,
    dryRun: false,
    permit: ALWAYS,
    cpuMs: () => clock.monoMs(),
    turn: () => Promise.resolve(),
    turned: () => undefined,
    credential: () => "",
    bootstrap: null,
    keyProblem: null,
    signer: null,
    committed: () => undefined,
    judged: () => undefined,
  };
}

/** Without what is different in every world. */
type Solitary = Omit<
  PlanePorts,
  "providers" | "unavailable" | "config" | "policy" | "fleetId" | "cursors"
>;

/** The scheduler as it is composed for a real server, on a line that the process owns. */
export function openHands(
  server: KubeApi,
  from: { config: Config; clock: Clock; gate: Gate | null; log: Log; seed: number },
): { scheduler: Kubernetes; line: Line } {
  const { clock, gate, log, config } = from;
  const line = new Line(server);
  const limiter = new Limiter({ clock, perSecondMax: config.kubernetes.writesPerSecondMax });
  const paced = limited(gate === null ? line : gate.kube(line), limiter, clock);
  const api = heard(paced, { clock, log, isOptional: config.kubernetes.enabled === "auto" });
  const scheduler = new Kubernetes({
    api,
    limiter,
    server: "simulated",
    instance: "simulated-1",
    config: config.kubernetes,
    clock,
    random: seeded(from.seed),
    log,
  });
  return { scheduler, line };
}
