/**
 * `navarch instances`: lists instances at the providers, registered or not.
 */
import type { InstanceView } from "../../schema/api.ts";
import { formatSpan } from "../age.ts";
import type { Command } from "../command.ts";
import { EXIT, failure, unknownName, usage } from "../failure.ts";
import { textFlag, textsFlag } from "../flag.ts";
import { suggest } from "../lookup.ts";
import { parseInstanceState, titleOf } from "../name.ts";
import { formatLabels, formatTable, type Style } from "../table.ts";
import { unknownFilter } from "../unknown-filter.ts";
import { WATCH_FLAG } from "../watch.ts";
import { parseInstant } from "../../schema/instant.ts";

const HEAD = [
  "Instance ID",
  "Provider",
  "Region",
  "Zone",
  "Instance Type",
  "State",
  "Pool",
  "Node ID",
  "Age",
  "Still Billed",
];

export const instances: Command = {
  name: ["instances"],
  alias: ["instance"],
  usage: "[list | get <id>]",
  summary: "list instances, registered or not",
  examples: ["navarch instances --pool training", "navarch instances get i-0abc"],
  flags: [
    textFlag("provider", "P", "only instances of this provider"),
    textFlag("region", "R", "only instances of this region"),
    textFlag("pool", "P", "only instances of this pool"),
    textsFlag("state", "S", "in this state; with a slash the state folder"),
    WATCH_FLAG,
  ],
  words: { min: 0, max: 2 },
  reach: "online",
  async run(context, client) {
    const { flags, words } = context;
    const [verb = "list", id] = words;
    if (verb !== "list" && verb !== "get") {
      return unknownName("command instances", verb, ["list", "get"]);
    }
    if ((verb === "get") !== (id !== undefined)) {
      return usage(verb === "get" ? "instances get needs <id>" : `unexpected "${id}"`);
    }
    // A value with a slash is the global `--state DIR`.
    const [given, second] = flags.texts("state").filter((text) => !text.includes("/"));
    if (second !== undefined) {
      return usage(`--state: expected one state, found "${given}" and "${second}"`);
    }
    const state = given === undefined ? null : parseInstanceState(given);
    if (state?.ok === false) return state;
    const answer = await client.get<{ instances: InstanceView[] }>("/instances", ["instances"], {
      provider: flags.text("provider"),
      region: flags.text("region"),
      pool: flags.text("pool"),
      state: state?.name ?? null,
    });
    if (!answer.ok) return answer;
    const { value, nowMs } = answer;
    if (value.instances.length === 0) {
      const unknown = await unknownFilter(client, flags, ["pool", "provider", "region"]);
      if (unknown !== null) return unknown;
    }
    if (id === undefined) {
      return {
        data: value.instances,
        names: value.instances.map((one) => one.instance_id),
        human: (_wide, style) => formatInstances(value.instances, nowMs, style),
        empty: "No instances found",
      };
    }
    const one = value.instances.find((other) => other.instance_id === id || other.node_id === id);
    if (one === undefined) {
      const none = failure(EXIT.notFound, "not_found", `no instance "${id}"`);
      return suggest(
        id,
        none,
        value.instances.map((other) => other.instance_id),
      );
    }
    return {
      data: one,
      names: [one.instance_id],
      human: (_wide, style) => formatInstance(one, nowMs, style),
    };
  },
};

function cellsOf(one: InstanceView, nowMs: number): string[] {
  const created = parseInstant(one.created_at ?? "");
  return [
    one.instance_id,
    one.provider,
    one.region ?? "",
    one.zone ?? "",
    one.instance_type,
    titleOf(one.state),
    one.pool ?? "",
    one.node_id ?? "",
    Number.isNaN(created) ? "" : formatSpan(nowMs - created),
    formatBilled(one, nowMs),
  ];
}

/** Time since termination was requested, and the price; empty for other instances. */
function formatBilled({ ending_since: since, price_per_hour: price }: InstanceView, nowMs: number) {
  if (since === null || since === undefined) return "";
  const cost = typeof price === "number" ? `$${price.toFixed(2)}/h` : "price not known";
  return `for ${formatSpan(nowMs - parseInstant(since))}, ${cost}`;
}

function formatInstances(all: readonly InstanceView[], nowMs: number, style: Style): string {
  return formatTable(
    HEAD,
    all.map((one) => cellsOf(one, nowMs)),
    style,
  );
}

function formatInstance(one: InstanceView, nowMs: number, style: Style): string {
  const cells = cellsOf(one, nowMs);
  const pairs = HEAD.map((label, i): [string, string] => [label, cells[i] ?? ""]);
  return formatLabels([...pairs, ["Message", one.status_message ?? ""]], style);
}
