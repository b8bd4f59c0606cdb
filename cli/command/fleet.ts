/**
 * `navarch fleet list|adopt|ignore`: other fleets whose machines have a pool's name, and what a
 * person says of them.
 */
import type { FleetChangeView, FleetsView } from "../../schema/fleet-view.ts";
import type { Client } from "../client.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, type Failure } from "../failure.ts";
import { switchFlag } from "../flag.ts";
import { formatFleets, formatMachines } from "../fleet-view.ts";
import { confirmCost, REASON } from "../order.ts";
import { isForMachines } from "../show.ts";
import { plain } from "../table.ts";

const READ = ["fleet_id", "others"];

export const fleetList: Command = {
  name: ["fleet", "list"],
  usage: "",
  summary: "show this fleet's id, and other fleets with pools of the same names",
  examples: ["navarch fleet list"],
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(_context, client) {
    const answer = await client.get<FleetsView>("/fleets", READ);
    if (!answer.ok) return answer;
    const { value } = answer;
    return {
      data: value,
      names: value.others.map((one) => one.fleet_id),
      human: (_wide, style) => formatFleets(value, style),
    };
  },
};

const FLAGS = [REASON, switchFlag("yes", "skip the confirmation")];
const ONE = { min: 1, max: 1 };

export const fleetAdopt: Command = {
  name: ["fleet", "adopt"],
  usage: "<fleet>",
  summary: "take over the machines of a fleet whose state was lost",
  examples: ["navarch fleet adopt vngpaq --reason 'the disk of the control plane failed'"],
  more:
    "Lists the machines first. This store takes the id of the fleet, and the control plane\n" +
    "restarts with it: under systemd or Kubernetes by itself, else start it again. Nothing is\n" +
    "ended; the machines stay until their agents join again. No other control plane of the\n" +
    "fleet may run.",
  flags: FLAGS,
  words: ONE,
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const asked = await ask(context, client, id, "Adopt them? No control plane of it may run.");
    if (asked !== null) return asked;
    const answer = await send(context, client, `/fleets/${encodeURIComponent(id)}/adopt`);
    if (!answer.ok) return answer;
    const { changed } = answer.value;
    const done = changed
      ? `Fleet ${id} is adopted: the control plane restarts with its id.\n` +
        "Machines whose agents have no valid credential: navarch join-token create\n"
      : `Fleet ${id} was adopted before\n`;
    return { data: answer.value, names: [id], human: () => done };
  },
};

export const fleetIgnore: Command = {
  name: ["fleet", "ignore"],
  usage: "<fleet>",
  summary: "leave another fleet's machines alone, and buy for the pools that they held",
  examples: ["navarch fleet ignore vngpaq --reason 'another team, other machines'"],
  flags: FLAGS,
  words: ONE,
  reach: "online",
  async run(context, client) {
    const [id = ""] = context.words;
    const asked = await ask(context, client, id, "Leave them alone, and buy for their pools?");
    if (asked !== null) return asked;
    const answer = await send(context, client, `/fleets/${encodeURIComponent(id)}/ignore`);
    if (!answer.ok) return answer;
    const was = answer.value.changed ? "is" : "was already";
    return {
      data: answer.value,
      names: [id],
      human: () => `Fleet ${id} ${was} ignored: its machines hold no pool\n`,
    };
  },
};

function send({ flags }: Context, client: Client, path: string) {
  const reason = flags.text("reason");
  const body = reason === null ? {} : { reason };
  return client.send<FleetChangeView>("POST", path, ["fleet_id", "changed"], body);
}

/** Lists the machines, then asks; `null` = go on. */
async function ask(
  context: Context,
  client: Client,
  id: string,
  question: string,
): Promise<Failure | null> {
  const answer = await client.get<FleetsView>("/fleets", READ);
  if (!answer.ok) return answer;
  const { others, fleet_id: own, next_id: next } = answer.value;
  const found = others.find((one) => one.fleet_id === id);
  if (found === undefined) {
    if (id === own || id === next) return null;
    const known = others.map((one) => one.fleet_id);
    const hint = known.length === 0 ? "" : ` (seen: ${known.join(", ")})`;
    const message = `no machines of a fleet ${id} have the name of a pool${hint}`;
    return failure(EXIT.notFound, "not_found", plain(message));
  }
  if (!isForMachines(context.format)) context.world.err(formatMachines(found));
  return confirmCost(context, question);
}
