/**
 * `navarch bootstrap <id> --follow`: prints the setup of a node as a log, from the first stored
 * attempt to the end of the last one. Text is printed line by line; JSON has one object for each
 * finished step and attempt.
 */
import type { BootstrapAttemptView, BootstrapView } from "../schema/api-bootstrap.ts";
import type { Answer } from "./client.ts";
import { LiveAttempt } from "./bootstrap-live.ts";
import type { Context } from "./command.ts";
import { EXIT, type Failure } from "./failure.ts";
import { openPace } from "./pace.ts";
import { isForMachines, show } from "./show.ts";
import { plain } from "./table.ts";

const FOLLOW_MS = 1_000;
/** Phases in which setup steps may follow. */
const PENDING = ["requested", "booting", "bootstrapping"];

/** Ends with 1 if the last attempt failed. */
export async function followBootstrap(
  context: Context,
  ask: () => Promise<Answer<BootstrapView> | Failure>,
): Promise<number | Failure> {
  const { world } = context;
  const pace = openPace(FOLLOW_MS);
  const print = isForMachines(context.format) ? inObjects(context) : inText(context);
  let known = "";
  for (;;) {
    const answer = await ask();
    if (!answer.ok) {
      const away = pace.failed(answer);
      if (away === null) return answer;
      if (away.isFirst) world.err(`warning: ${plain(answer.message)}; trying again\n`);
      await world.sleep(away.restMs);
      continue;
    }
    const { attempts, node_id: id, phase } = answer.value;
    for (const attempt of attempts.toReversed()) await print(attempt);
    const [last] = attempts;
    if (!PENDING.includes(phase)) {
      const none = plain(`${id} was not set up over SSH (it is ${phase})`);
      if (last === undefined) world.err(`${none}\n`);
      return last?.state === "failed" ? EXIT.failed : EXIT.done;
    }
    // Between attempts minutes may pass without output: name the phase.
    const now = last === undefined || last.ended_at !== null ? phase : "";
    if (now !== "" && now !== known) world.err(`${plain(id)} is ${now}; waiting for its setup\n`);
    known = now;
    await world.sleep(pace.answered());
  }
}

type Print = (attempt: BootstrapAttemptView) => void | Promise<void>;

function inText({ flags, world }: Context): Print {
  const live = new Map<number, { attempt: LiveAttempt; running: number }>();
  return (now) => {
    const isNew = !live.has(now.attempt);
    const one = live.get(now.attempt) ?? {
      attempt: new LiveAttempt(flags.on("commands")),
      running: -1,
    };
    const running = now.steps.findIndex((step) => step.duration_ms === null);
    const text = one.attempt.next(now, running === one.running);
    world.out(isNew && live.size > 0 ? `\n${text}` : text);
    live.set(now.attempt, { ...one, running });
  };
}

function inObjects(context: Context): Print {
  const sent = new Set<string>();
  return async (now) => {
    const { steps, ...attempt } = now;
    const ended: [string, object][] = steps
      .filter((step) => step.duration_ms !== null)
      .map((step, i) => [`${now.attempt} ${i}`, { attempt: now.attempt, ...step }]);
    if (now.ended_at !== null) ended.push([`${now.attempt}`, attempt]);
    const format = context.format === "json" ? "jsonl" : context.format;
    for (const [key, data] of ended.filter(([key]) => !sent.has(key))) {
      sent.add(key);
      const given = format === "yaml" ? [data] : data;
      await show({ ...context, format }, { data: given, names: [], human: () => "" });
    }
  };
}
