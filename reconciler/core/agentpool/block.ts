/**
 * What keeps a pool from growing: a creation or a dry run that failed. After a failure nothing is
 * created for a minute, then one attempt tells whether more may follow.
 */
import type { BlockReason } from "../../../schema/agentpool.ts";
import type { Draft } from "./draft.ts";
import type { Turn } from "./member.ts";
import type { PodAnswer } from "./model.ts";
import type { Blocked, PoolInput } from "./step-model.ts";
import { RETRY_MS } from "./scale.ts";

/** From the last attempt, if no other was wanted. */
const CLEAR_MS = 90_000;
const CHECK_RETRY_MS = 15_000;

export type Problem = { reason: BlockReason; message: string; at: number };

/** Folds the answers of creations and deletions into rows and into what blocks the pool. */
export function foldAnswers(draft: Draft, input: PoolInput): Blocked | null {
  const { memory, pods } = input;
  let { blocked } = memory;
  if (blocked !== null) blocked = { ...blocked, atMono: blocked.atMono + draft.recall.slept };
  for (const answer of input.answers) {
    if (answer.kind === "hold") {
      draft.recall.answered("hold");
      continue;
    }
    const { worker: name } = answer;
    draft.recall.answered(`${answer.kind}:${name}`);
    if (answer.kind === "create") {
      blocked = foldCreation(draft, { name, answer: answer.answer, blocked, pods });
    } else foldDeletion(draft, name, answer.answer);
  }
  return blocked;
}

type Creation = {
  name: string;
  answer: PodAnswer;
  blocked: Blocked | null;
  pods: PoolInput["pods"];
};

function foldCreation(draft: Draft, { name, answer, blocked, pods }: Creation): Blocked | null {
  const worker = draft.worker(name);
  if (answer.kind === "ok") {
    if (worker?.uid === null) {
      draft.put({ ...worker, uid: answer.uid });
      draft.note("Created", `Created pod ${name}`);
    }
    const isProbe = blocked !== null && blocked.reason !== "StartupFailure";
    return isProbe ? { ...blocked, isProbed: true } : blocked;
  }
  if (answer.kind === "lost") return block(draft, "Unavailable", answer.message);
  // It was refused, so there is no pod, unless a call before it made one.
  if (worker?.uid === null && !pods?.has(name)) draft.drop(worker);
  return block(draft, answer.reason, answer.message);
}

function foldDeletion(draft: Draft, name: string, answer: { kind: string; message?: string }) {
  const { message = null } = answer;
  if (draft.changes(`delete:${name}`, message) && message !== null) {
    draft.warn("DeleteFailed", `Pod ${name} cannot be deleted: ${message}`);
  }
}

function block({ now, recall }: Draft, reason: BlockReason, message: string): Blocked {
  return { reason, message, at: now, atMono: recall.mono, isProbed: false };
}

/** Clears what is over, and blocks for pods that ended before they joined. */
export function review(draft: Draft, blocked: Blocked | null, turn: Turn): Blocked | null {
  const [failed] = turn.failed;
  if (failed !== undefined) return block(draft, "StartupFailure", failed);
  if (blocked === null || turn.joined > 0) return null;
  const left = blocked.atMono + CLEAR_MS - draft.recall.mono;
  if (left <= 0) return null;
  draft.recall.dueIn(left);
  draft.recall.dueIn(blocked.atMono + RETRY_MS - draft.recall.mono);
  return blocked;
}

/** The dry run of the template: asked for once, and again while it is refused or unanswered. */
export function checkTemplate(draft: Draft, { pool, check }: PoolInput): void {
  const { recall } = draft;
  const key = `check:${pool.generation}`;
  const sent = recall.keep(key);
  if (check?.kind === "ok") {
    const { unknown = null } = check;
    const isNews = draft.changes("unknown", unknown && `${pool.generation} ${unknown}`);
    const what = "The API server drops what it does not know of spec.template";
    if (isNews && unknown !== null) draft.warn("UnknownField", `${what}: ${unknown}`);
    return;
  }
  const pause = check?.kind === "refused" ? RETRY_MS : CHECK_RETRY_MS;
  const left = sent === null ? 0 : sent.at + pause - recall.mono;
  if (left > 0) recall.dueIn(left);
  else if (recall.write(key)) draft.effects.push({ kind: "check" });
}

/** The newest failure, of a creation or of the dry run, that is not the template's own fault. */
export function problemOf(
  draft: Draft,
  { check, pool }: PoolInput,
  blocked: Blocked | null,
): Problem | null {
  if (blocked !== null) {
    const { reason, message, at } = blocked;
    return { reason, message, at };
  }
  if (check === null || check.kind === "ok") return null;
  const at = draft.now - draft.recall.age(`refused:${pool.generation}`);
  if (check.kind === "lost") return { reason: "Unavailable", message: check.message, at };
  return { reason: check.reason, message: check.message, at };
}
