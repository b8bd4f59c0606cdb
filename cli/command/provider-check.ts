/**
 * `navarch provider check`: tries a configured provider before a control plane depends on it. Most
 * useful for a `command` provider, whose program is the operator's own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatSpan } from "../age.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { switchFlag, textFlag, textsFlag } from "../flag.ts";
import { type Interrupt, INTERRUPTS, watchInterrupts, WITH_HANGUP } from "../interrupt.ts";
import { openConfigured } from "../open-configured.ts";
import { confirmCost, isYes } from "../order.ts";
import { show } from "../show.ts";
import { plain } from "../table.ts";
import { formatDiagnoses } from "./doctor.ts";
import type { World } from "../world.ts";
import type { Instance, Provider } from "../../reconciler/core/provider.ts";
import type { Purchase, Trial } from "../../reconciler/provider/check.ts";

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
    "fleet of its own, repeats the request, and terminates it, also on Ctrl-C,\n" +
    "SIGTERM or a closed terminal. What a killed check left running is found by\n" +
    "the next one, which offers to end it. Exit 1 if a control plane could not\n" +
    "rely on the provider.",
  flags: [
    textsFlag("config", "F", "configuration; later ones override"),
    textFlag("buy", "TYPE", "buy and end one instance of this type"),
    textFlag("region", "R", "region of the purchase"),
    textFlag("zone", "Z", "zone of the purchase"),
    switchFlag("yes", "do not ask before the purchase"),
    switchFlag("end-left", "end what earlier checks left running, unasked"),
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
  const { endLeft, stillLeft, tryList } = await import("../../reconciler/provider/check.ts");
  const purchase = purchaseOf(context);
  const timing = { clock: REAL_CLOCK, sleep: world.sleep };
  const found: Trial[] = [];
  let status: number = EXIT.done;
  try {
    const { trials, left } = await tryList(provider, timing);
    found.push(...trials);
    for (const one of left ?? []) {
      const isEnding = one.state === "terminating" || mayEnd(context, one);
      found.push(isEnding ? await endLeft(provider, one, timing) : stillLeft(one));
    }
    if (purchase !== null && left !== null) {
      const question = `Buy one ${purchase.instanceType} at ${provider.name}, and terminate it?`;
      const refused = confirmCost(context, question);
      if (refused !== null) return refused;
      status = await tryInterruptible(world, provider, purchase, (trial) => found.push(trial));
    }
  } finally {
    await provider.close();
  }
  const rows = found.map((trial) => ({ ...trial, advice: null }));
  await show(context, {
    data: found,
    names: found.map(({ check }) => check),
    human: (_wide, style) => formatDiagnoses(rows, style),
  });
  if (status !== EXIT.done) return status;
  return found.some(({ outcome }) => outcome === "fail") ? EXIT.failed : EXIT.done;
}

/** An instance of another check that runs now looks the same: only a person can tell. */
function mayEnd({ flags, world }: Context, { id, name, createdAtMs }: Instance): boolean {
  if (flags.on("end-left")) return true;
  if (flags.on("yes")) return false;
  const age = formatSpan(Math.max(0, world.wallMs() - createdAtMs));
  const answer = world.ask(
    `Terminate ${plain(id)} (${plain(name)}, ${age} old), left by an earlier check? [y/N]`,
  );
  return isYes(answer);
}

/** The exit status: that of the first interrupt, if any. */
async function tryInterruptible(
  world: World,
  provider: Provider,
  purchase: Purchase,
  found: (trial: Trial) => void,
): Promise<number> {
  const { REAL_CLOCK } = await import("../../reconciler/kubernetes/connect.ts");
  const { tryPurchase } = await import("../../reconciler/provider/check.ts");
  const [interrupts, stop]: [Interrupt[], AbortController] = [[], new AbortController()];
  const billed = new Set<string>();
  const named = (): string => plain([...billed].join(", "));
  const endWatch = watchInterrupts(
    (interrupt) => {
      interrupts.push(interrupt);
      const what = billed.size === 0 ? "nothing is left to terminate" : `terminating ${named()}`;
      world.err(`${interrupt}: ${what}; a second signal exits at once.\n`);
      stop.abort();
    },
    () => {
      if (billed.size === 0) return;
      const next = `navarch provider check ${provider.name} --end-left --config FILE`;
      world.err(`error: interrupted again; left running and billed: ${named()}. Run ${next}\n`);
    },
    WITH_HANGUP,
  );
  // `2>&1 | head` and a closed terminal must not end the check before its termination.
  world.outlast?.();
  const around = {
    clock: REAL_CLOCK,
    sleep: world.sleep,
    signal: stop.signal,
    buying(name: string): void {
      billed.add(name);
      world.err(`Buying one ${plain(purchase.instanceType)} as ${plain(name)}.\n`);
    },
    bought({ id, name }: Instance): void {
      billed.delete(name);
      billed.add(id);
      world.err(`Bought ${plain(id)} (${plain(name)}): billed until terminated below.\n`);
    },
    ended({ id }: Pick<Instance, "id">): void {
      billed.delete(id);
      world.err(`Terminated ${plain(id)}: the cloud accepted it.\n`);
    },
  };
  try {
    for await (const trial of tryPurchase(provider, purchase, around)) found(trial);
  } finally {
    endWatch();
  }
  const [interrupt] = interrupts;
  return interrupt === undefined ? EXIT.done : INTERRUPTS[interrupt];
}

function purchaseOf({ flags, world }: Context): Purchase | null {
  const instanceType = flags.text("buy");
  if (instanceType === null) return null;
  const id = world.wallMs().toString(36);
  const [region, zone] = [flags.text("region"), flags.text("zone")];
  return { instanceType, region, zone, id, endMs: END_MS };
}
