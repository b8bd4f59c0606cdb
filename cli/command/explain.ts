/**
 * `navarch explain`: explains a state: its causes, what happens next and when, and what blocks it.
 */
import type { ExplainView } from "../../schema/api.ts";
import { formatAge, formatTime } from "../age.ts";
import type { Answer, Client } from "../client.ts";
import type { Command } from "../command.ts";
import { type Failure, unknownName, usage } from "../failure.ts";
import { suggestNode, suggestPool } from "../lookup.ts";
import { plain } from "../table.ts";
import { WATCH_FLAG } from "../watch.ts";

const KINDS = ["node", "pool", "instance"] as const;
type Kind = (typeof KINDS)[number];

export const explain: Command = {
  name: ["explain"],
  usage: "[node|pool|instance] <id>",
  summary: "explain the state of a node, pool or instance",
  examples: ["navarch explain gpu-7", "navarch explain pool training"],
  more: "Without a kind the id is looked up as a node, then as an instance, then as a pool.",
  flags: [WATCH_FLAG],
  words: { min: 1, max: 2 },
  reach: "online",
  async run(context, client) {
    const [first = "", second] = context.words;
    const kind = KINDS.find((one) => one === first.replace(/s$/, ""));
    if (second !== undefined && kind === undefined) return unknownName("kind", first, KINDS);
    if (second === undefined && kind !== undefined) return usage(`explain ${first} needs an id`);
    const answer =
      second !== undefined && kind !== undefined
        ? await getOne(client, kind, second)
        : await guess(client, first);
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    return {
      data: value,
      names: [value.subject],
      human: () => formatExplain(value, nowMs),
    };
  },
};

function ask(client: Client, kind: Kind, id: string): Promise<Answer<ExplainView> | Failure> {
  return client.get<ExplainView>(`/${kind}s/${encodeURIComponent(id)}/explain`, ["causes"]);
}

async function getOne(
  client: Client,
  kind: Kind,
  id: string,
): Promise<Answer<ExplainView> | Failure> {
  const answer = await ask(client, kind, id);
  if (answer.ok || answer.code !== "not_found") return answer;
  if (kind === "node") return suggestNode(client, id, answer);
  return kind === "pool" ? suggestPool(client, id, answer) : answer;
}

async function guess(client: Client, id: string): Promise<Answer<ExplainView> | Failure> {
  const node = await ask(client, "node", id);
  if (node.ok || node.code !== "not_found") return node;
  for (const kind of ["instance", "pool"] as const) {
    const answer = await ask(client, kind, id);
    if (answer.ok || answer.code !== "not_found") return answer;
  }
  const none = { ...node, message: `no node, instance or pool ${id}` };
  const close = await suggestNode(client, id, none);
  return close === none ? suggestPool(client, id, none) : close;
}

function formatExplain(view: ExplainView, nowMs: number): string {
  const at = formatTime(view.since);
  const what = view.kind === "pool" ? "Size set" : "Phase since";
  const since = at === "" ? "" : `${what}: ${at} (${formatAge(view.since, nowMs)})\n`;
  const causes = (view.causes ?? []).map(
    ({ at, text }) => `  ${at === null ? "" : `${formatTime(at)}  `}${plain(text)}\n`,
  );
  const limits = (view.limits ?? []).map((text) => `  ${plain(text)}\n`);
  const blockers = (view.blockers ?? []).map((text) => `  ${plain(text)}\n`);
  return [
    `${plain(`${view.kind} ${view.subject}: ${view.state}`)}\n`,
    since,
    causes.length === 0 ? "" : `Because:\n${causes.join("")}`,
    `Next: ${plain(view.next ?? "nothing")}\n`,
    view.earliest ? `Earliest: ${formatTime(view.earliest)}\n` : "",
    blockers.length === 0 ? "" : `In the way:\n${blockers.join("")}`,
    limits.length === 0 ? "" : `Limits:\n${limits.join("")}`,
    ...(view.see ?? []).map((command) => `See: ${plain(command)}\n`),
  ].join("");
}
