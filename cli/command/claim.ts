/**
 * `navarch claim create|list|get|release`: takes and gives back slots of AgentPools' workers. Each
 * claim has an id before it is sent, so a repeat after a lost answer takes no second slot.
 *
 * Adapter: takes random ids.
 */
import { randomUUID } from "node:crypto";
import type { ClaimView } from "../../schema/agentpool-view.ts";
import { claimsPath, NAMESPACE, readPoolName } from "../agentpool-name.ts";
import { formatClaim, formatClaims, keyOf } from "../agentpool-view.ts";
import type { Client } from "../client.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { EXIT, type Failure, failure, usage } from "../failure.ts";
import { readSpan, switchFlag, textFlag } from "../flag.ts";
import { IDS_MAX } from "../order.ts";
import type { Shown } from "../show.ts";
import { isForMachines, sayFailure, show } from "../show.ts";
import { waitFor } from "../wait.ts";
import { WATCH_FLAG } from "../watch.ts";

const ENDED = new Set(["released", "cancelled", "expired", "lost"]);
const WAIT_DEFAULT = "10m";

const claimPath = (id: string): string => `/claims/${encodeURIComponent(id)}`;

export const claimCreate: Command = {
  name: ["claim", "create"],
  usage: "<agentpool>",
  summary: "take one slot of an AgentPool, or queue for one",
  examples: [
    "navarch claim create gpu-pool --label 'job 7' --ttl 8h",
    "navarch claim create team-a/gpu-pool --wait -o name",
  ],
  more:
    "With --id the same claim is answered however often it is asked for, so a script may repeat\n" +
    "the command after a lost answer. A claim without --ttl is held until it is released.",
  flags: [
    NAMESPACE,
    textFlag("label", "TEXT", "what it is for, at most 256 characters"),
    textFlag("ttl", "T", "release it after this time, for example 8h (default: never)"),
    textFlag("id", "ID", "id of the claim (default: a new one)"),
    switchFlag("wait", `wait until it has a slot; limited by --timeout (${WAIT_DEFAULT})`),
  ],
  words: { min: 1, max: 1 },
  lasts: (flags) => flags.on("wait"),
  reach: "online",
  run: create,
};

async function create(context: Context, client: Client): Outcome {
  const { flags, words } = context;
  const name = readPoolName(flags, words[0] ?? "");
  if (!name.ok) return name;
  const ttl = flags.text("ttl");
  const span = ttl === null ? null : readSpan("ttl", ttl);
  if (span?.ok === false) return span;
  const id = flags.text("id") ?? randomUUID();
  const label = flags.text("label");
  const body = { ...(label === null ? {} : { label }), ...(ttl === null ? {} : { ttl }) };
  const answer = await client.send<ClaimView>("POST", claimsPath(name), ["id"], { ...body, id });
  if (!answer.ok) {
    // The slot may be taken all the same.
    const sent = answer.exit === EXIT.unreachable ? `; ask again with --id ${id}` : "";
    return { ...answer, message: `${answer.message}${sent}` };
  }
  const claim = answer.value;
  if (!flags.on("wait") || claim.state !== "queued") return shownOf(claim);
  return waitForSlot(context, client, claim);
}

async function waitForSlot(context: Context, client: Client, first: ClaimView): Outcome {
  const { world, timeoutMs, timeoutGiven } = context;
  let claim = first;
  const waitMs = timeoutGiven ? timeoutMs : 600_000;
  const found = await waitFor(world, waitMs, async () => {
    const answer = await client.get<ClaimView>(claimPath(first.id), ["state"]);
    if (!answer.ok) return answer;
    claim = answer.value;
    if (claim.state === "running") return "reached";
    return ENDED.has(claim.state) ? "lost" : "open";
  });
  if (found === "reached") return shownOf(claim);
  if (typeof found !== "string") return found;
  const why = claim.because === null ? "" : `: ${claim.because}`;
  const said =
    found === "late"
      ? `claim ${claim.id} is still queued, at place ${claim.position ?? "?"}${why}`
      : `claim ${claim.id} ended before it had a slot: ${claim.state}`;
  return failure(EXIT.failed, "not_placed", said);
}

const shownOf = (claim: ClaimView): Shown => ({
  data: claim,
  names: [claim.id],
  human: (_wide, style) => formatClaim(claim, style),
});

export const claimGet: Command = {
  name: ["claim", "get"],
  usage: "<id>",
  summary: "show one claim",
  examples: ["navarch claim get run-17"],
  more: "Ended claims are kept for a day.",
  flags: [WATCH_FLAG],
  words: { min: 1, max: 1 },
  reach: "online",
  async run({ words }, client) {
    const answer = await client.get<ClaimView>(claimPath(words[0] ?? ""), ["state"]);
    return answer.ok ? shownOf(answer.value) : answer;
  },
};

export const claimList: Command = {
  name: ["claim", "list"],
  usage: "[<agentpool>]",
  summary: "list claims that run or are queued",
  examples: ["navarch claim list", "navarch claim list team-a/gpu-pool"],
  flags: [{ ...NAMESPACE, help: "only AgentPools of this namespace" }, WATCH_FLAG],
  words: { min: 0, max: 1 },
  reach: "online",
  async run({ flags, words }, client) {
    const [given] = words;
    const name = given === undefined ? null : readPoolName(flags, given);
    if (name?.ok === false) return name;
    const path = name === null ? "/claims" : claimsPath(name);
    const answer = await client.get<{ claims: ClaimView[] }>(path, ["claims"]);
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    const namespace = flags.text("namespace");
    const claims = value.claims.filter((one) => namespace === null || one.namespace === namespace);
    return {
      data: claims,
      names: claims.map(({ id }) => id),
      human: (_wide, style) => formatClaims(claims, nowMs, style),
      empty: "No claims found",
    };
  },
};

export const claimRelease: Command = {
  name: ["claim", "release"],
  usage: "<id>…",
  summary: "give slots back, or leave the queue",
  examples: ["navarch claim release run-17"],
  more: "A claim that has ended stays as it is, so a repeat does no harm.",
  flags: [],
  words: { min: 1, max: IDS_MAX },
  reach: "online",
  async run(context, client) {
    const done: ClaimView[] = [];
    const failures: Failure[] = [];
    for (const id of new Set(context.words)) {
      if (id === "") return usage("claim release: an id is empty");
      const answer = await client.send<ClaimView>("DELETE", claimPath(id), ["state"]);
      if (answer.ok) done.push(answer.value);
      else failures.push(answer);
      // An unreachable server or a wrong token is the same for every id.
      if (!answer.ok && (answer.exit === EXIT.unreachable || answer.exit === EXIT.forbidden)) break;
    }
    const human = () => done.map((one) => `Claim ${one.id} of ${placeText(one)}\n`).join("");
    const isAlone = context.words.length === 1 && isForMachines(context.format);
    const data = isAlone ? done[0] : done;
    if (done.length > 0) await show(context, { data, names: done.map(({ id }) => id), human });
    const [first, ...rest] = failures;
    for (const one of rest) sayFailure(context.world, context.format, one);
    return first ?? EXIT.done;
  },
};

const placeText = ({ namespace, pool, state }: ClaimView): string =>
  `${keyOf({ namespace, name: pool })} is ${state}`;
