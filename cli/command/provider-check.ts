/**
 * `navarch provider check`: tries a configured provider before a control plane depends on it. Most
 * useful for a `command` provider, whose program is the operator's own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command, Context } from "../command.ts";
import type { Diagnosis } from "../diagnosis-row.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { switchFlag, textFlag, textsFlag } from "../flag.ts";
import { openConfigured } from "../open-configured.ts";
import { confirmCost } from "../order.ts";
import { show } from "../show.ts";
import { plain } from "../table.ts";
import { formatDiagnoses } from "./doctor.ts";
import type { Provider } from "../../reconciler/core/provider.ts";
import type { Purchase } from "../../reconciler/provider/check.ts";

/** Time until the list confirms a termination; no known cloud takes longer. */
const END_MS = 600_000;

export const providerCheck: Command = {
  name: ["provider", "check"],
  usage: "<name>",
  summary: "try a provider: list, and with --buy also buy and end",
  examples: [
    "navarch provider check mine --config navarch.yaml",
    "navarch provider check mine --config navarch.yaml --buy h100-8x --yes",
  ],
  more:
    "Without --buy it only lists. --buy costs money: it buys one instance under a\n" +
    "fleet of its own, repeats the request, and terminates it. Exit 1 if a control\n" +
    "plane could not rely on it.",
  flags: [
    textsFlag("config", "F", "configuration; later ones override"),
    textFlag("buy", "TYPE", "buy and end one instance of this type"),
    textFlag("region", "R", "region of the purchase"),
    textFlag("zone", "Z", "zone of the purchase"),
    switchFlag("yes", "do not ask before the purchase"),
  ],
  words: { min: 1, max: 1 },
  lasts: () => true,
  reach: "offline",
  async run(context) {
    const { flags, words } = context;
    const files = flags.texts("config");
    if (files.length === 0) return usage("name the configuration: --config FILE");
    const folder = mkdtempSync(join(tmpdir(), "navarch-check-"));
    try {
      const [name = ""] = words;
      const opened = await openConfigured(context, files, name, folder);
      if ("exit" in opened) return opened;
      const provider = opened.providers.get(name);
      if (provider !== undefined) return await tryOne(context, provider);
      const why = opened.unavailable.get(name) ?? "it cannot be opened";
      return failure(EXIT.failed, "unavailable", `provider ${name}: ${why}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function tryOne(context: Context, provider: Provider): Promise<number | Failure> {
  const { world } = context;
  const { REAL_CLOCK } = await import("../../reconciler/kubernetes/connect.ts");
  const { tryProvider } = await import("../../reconciler/provider/check.ts");
  const purchase = purchaseOf(context);
  if (purchase !== null) {
    const question = `Buy one ${purchase.instanceType} at ${provider.name}, and terminate it?`;
    const refused = confirmCost(context, question);
    if (refused !== null) return refused;
  }
  const found: Diagnosis[] = [];
  const around = {
    clock: REAL_CLOCK,
    sleep: world.sleep,
    bought: ({ id }: { id: string }) => world.err(`Bought ${plain(id)}; terminated below.\n`),
  };
  try {
    for await (const { check, outcome, message } of tryProvider(provider, purchase, around)) {
      found.push({ check, outcome, message, advice: null });
    }
  } finally {
    await provider.close();
  }
  await show(context, {
    data: found.map(({ check, outcome, message }) => ({ check, outcome, message })),
    names: found.map(({ check }) => check),
    human: (_wide, style) => formatDiagnoses(found, style),
  });
  return found.some(({ outcome }) => outcome === "fail") ? EXIT.failed : EXIT.done;
}

function purchaseOf({ flags, world }: Context): Purchase | null {
  const instanceType = flags.text("buy");
  if (instanceType === null) return null;
  const id = world.wallMs().toString(36);
  const [region, zone] = [flags.text("region"), flags.text("zone")];
  return { instanceType, region, zone, id, endMs: END_MS };
}
