/**
 * `navarch allocate`: what a workload of one quality, tier and priority gets, and where it runs.
 */
import { stringify } from "yaml";
import type { Allocation } from "../../schema/console/profile.ts";
import type { Command } from "../command.ts";
import { textFlag } from "../flag.ts";
import { formatLabels, type Style } from "../table.ts";

const POD = "pod";

export const allocate: Command = {
  name: ["allocate"],
  usage: "",
  summary: "show the resources and the placement of a workload",
  examples: [
    "navarch allocate --quality high --tier premium --priority medium",
    "navarch allocate --tier standard --priority low --output json",
  ],
  more:
    "Counts the load that is measured now, and reserves nothing. Without --quality the quality\n" +
    "score chooses one; the tier caps it. With -o pod it prints what the workload's manifest\n" +
    "needs: fields of the pod, and the resources of its container.",
  flags: [
    textFlag("quality", "QUALITY", "low, medium or high (default: by the quality score)"),
    textFlag("tier", "TIER", "free, standard or premium"),
    textFlag("priority", "PRIORITY", "high, medium or low"),
    textFlag("preference", "WHAT", "for the score: speed, balanced or quality"),
  ],
  formats: [POD],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags }, client) {
    const names = ["quality", "tier", "priority", "preference"] as const;
    const given = names.flatMap((name) => {
      const value = flags.text(name);
      return value === null ? [] : [[name, value]];
    });
    const keys = ["resources", "nodeSelector", "tolerations", "reasons"];
    const body = Object.fromEntries(given);
    const answer = await client.send<Allocation>("POST", "/api/allocations", keys, body);
    if (!answer.ok) return answer;
    const { value } = answer;
    const isPod = flags.text("output")?.toLowerCase() === POD;
    return {
      data: value,
      names: [value.pool],
      human: (_wide, style) => (isPod ? stringify(podOf(value)) : formatAllocation(value, style)),
    };
  },
};

/** An extended resource is requested by its limit; the rest is guaranteed as well. */
function podOf(from: Allocation) {
  const { cpu, memory, gpu } = from.resources;
  const amounts = { cpu, memory, ...(gpu === 0 ? {} : { "nvidia.com/gpu": gpu }) };
  const { nodeSelector, tolerations, priorityClassName } = from;
  const resources = { requests: amounts, limits: { ...amounts } };
  return { nodeSelector, tolerations, priorityClassName, resources };
}

function formatAllocation(from: Allocation, style: Style): string {
  const { resources, utilisation, score, asked } = from;
  const chosen = score === null ? "" : ` (score ${score.toFixed(2)})`;
  const pairs = Object.entries(from.nodeSelector).map(([key, value]) => `${key}=${value}`);
  const seen = (["cpu", "memory", "gpu"] as const).map((one) => {
    const value = utilisation[one];
    return `${one} ${value === null ? "unknown" : `${Math.round(value * 100)} %`}`;
  });
  const tolerated = from.tolerations.map(({ key, value, effect }) => `${key}=${value}:${effect}`);
  return formatLabels(
    [
      ["Quality", `${from.quality}${chosen}`],
      ["Tier", `${asked.tier}, number ${from.priorityNumber}`],
      ["Resources", `cpu ${resources.cpu}, memory ${resources.memory}, gpu ${resources.gpu}`],
      ["Pool", from.pool],
      ["Node Selector", pairs.join(", ")],
      ["Tolerations", tolerated.join(", ")],
      ["Priority Class", from.priorityClassName],
      ["Utilisation", `${seen.join(", ")} (${utilisation.basis})`],
      ...from.reasons.map((one): [string, string] => ["Reduced", one]),
      ...from.warnings.map((one): [string, string] => ["Warning", one]),
    ],
    style,
  );
}
