/**
 * `navarch sim -port N`: serves `POST /workflow` until a signal, then cleans up once if asked to.
 */
import type { WorkflowRunner } from "../reconciler/core/workflow.ts";
import { REAL_CLOCK } from "../reconciler/kubernetes/connect.ts";
import { WorkflowRuns } from "../reconciler/runtime/workflow/runs.ts";
import { isLoopback } from "../schema/loopback.ts";
import { Made } from "../simulator/workflow/made.ts";
import { openWorkflowRunner } from "../simulator/workflow/run/runner.ts";
import { type Serving, serveWorkflows } from "../simulator/workflow/serve.ts";
import { State } from "../simulator/workflow/state.ts";
import type { Say } from "../simulator/workflow/task.ts";
import { EXIT } from "./failure.ts";
import type { GoFlags } from "./go-flag.ts";
import { type Interrupt, INTERRUPTS, watchInterrupts } from "./interrupt.ts";
import { openKube } from "./kube.ts";
import { openFleet } from "./plane-fleet.ts";
import { namesOf, openSay, optionsOf, sweep } from "./workflow.ts";
import { drawFieldManager, readTemplate } from "./workflow-file.ts";
import type { World } from "./world.ts";

/** For the task that runs at a signal; each ends at its next wait. */
const GRACE_MS = 30_000;
const PORT_MAX = 65_535;

/** Exit status: 130 or 143 after a signal, 1 if it cannot serve. */
export async function serveWorkflowPosts(world: World, flags: GoFlags): Promise<number> {
  const fail = (message: string): number => {
    world.err(`error: ${message}\n`);
    return EXIT.failed;
  };
  const [host, port] = [flags.text("host"), flags.number("port")];
  if (port < 1 || port > PORT_MAX) return fail(`'port' must be from 1 to ${PORT_MAX}`);
  const kube = await openKube(world, flags);
  if (!kube.ok) return fail(kube.message);
  for (const warning of kube.warnings) world.err(`warning: ${warning}\n`);
  const { api } = kube;
  const say = openSay(world, flags.number("v"));
  const [made, fieldManager] = [new Made(), drawFieldManager()];
  const isCleaning = flags.on("cleanup");
  const runner = openWorkflowRunner({
    api,
    clock: REAL_CLOCK,
    state: new State({ isServer: true }),
    fleet: openFleet(world, flags),
    ...optionsOf(flags),
    readText: (path) => readTemplate(path, null),
    // Without a cleanup nothing reads the notes, and a server would collect them for ever.
    shared: isCleaning ? { made, fieldManager } : null,
    cleanupMs: 0,
  });
  const runs = openRuns(heard(runner, say));
  let serving: Serving;
  try {
    serving = serveWorkflows({ host, port, runs });
  } catch (cause) {
    api.close();
    return fail(`cannot listen at ${host}:${port}: ${messageOf(cause)}`);
  }
  say("info", `listening at http://${shown(host)}:${serving.port}: POST /workflow`);
  if (!isLoopback(host)) say("warning", OPEN);
  const left = (): void => world.err(`error: interrupted again; left behind: ${namesOf(made)}\n`);
  const { interrupt, endWatch } = await untilInterrupt(left);
  const next = isCleaning ? "cleaning up; a second signal ends at once" : "ending";
  say("info", `${interrupt}: ${next}`);
  await runs.close(GRACE_MS);
  await serving.stop();
  if (isCleaning) await sweep({ world, flags, api, say }, made, fieldManager);
  endWatch();
  api.close();
  return INTERRUPTS[interrupt];
}

const OPEN =
  "there is no login: whoever reaches this address creates and deletes objects with the rights " +
  "of this process; -host 127.0.0.1 admits this machine only";

function openRuns(runner: WorkflowRunner): WorkflowRuns {
  let serial = 0;
  return new WorkflowRuns({
    runner,
    clock: REAL_CLOCK,
    log: () => undefined,
    newId: () => String(++serial),
    record: async () => true,
  });
}

/** Says what each run tells, and how it fails. */
function heard(runner: WorkflowRunner, say: Say): WorkflowRunner {
  return {
    whyNot: () => runner.whyNot(),
    read(source) {
      const read = runner.read(source);
      if (!read.ok) return read;
      const { plan } = read;
      const run: typeof plan.run = async (order) => {
        const end = await plan.run({
          ...order,
          tell(news) {
            if (news.kind === "line") say(news.level, news.text);
            order.tell(news);
          },
        });
        if (end.error !== null) say("info", `error: ${end.error}`);
        return end;
      };
      return { ok: true, plan: { ...plan, run } };
    },
  };
}

function untilInterrupt(again: () => void) {
  const { promise, resolve } = Promise.withResolvers<Interrupt>();
  const endWatch = watchInterrupts(resolve, again);
  return promise.then((interrupt) => ({ interrupt, endWatch }));
}

const shown = (host: string): string => (host.includes(":") ? `[${host}]` : host);

function messageOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "EADDRINUSE") return "another program listens there; choose another -port";
  return cause instanceof Error ? cause.message : String(cause);
}
