/**
 * Opens the providers that the configuration names. A provider that cannot be opened is a condition
 * of its pools and never a reason not to start.
 */
import type { ProviderConfig } from "../../schema/config.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Clock } from "../core/clock.ts";
import type { PeerTls } from "../security/tls/open.ts";
import { unadapted } from "../core/adapter.ts";
import { aroundProvider } from "./around.ts";
import { openFakeProvider } from "./fake/fake.ts";
import { openMachineBed } from "./machine/bed.ts";
import type { Provider } from "../core/provider.ts";

export type OpenProviders = { providers: Map<string, Provider>; unavailable: Map<string, string> };

export async function openProviders(
  configs: ProviderConfig[],
  from: {
    /** Where a provider may keep state of its own. */
    folder(name: string): string;
    fleetId: string;
    clock: Clock;
    random(): number;
    serverUrl(): string;
    /** Whom agents of a simulated cloud trust and what they show; absent = as the system has it. */
    agentTls?(): PeerTls | null;
    /** Fingerprint of the key that signs orders; the fake cloud's agents are given it. */
    agentKey?: string;
    agentCommand: readonly string[] | null;
    problem(message: string): void;
    /** Told of each answered call, for metrics. */
    count(provider: string, op: string, outcome: string): void;
  },
): Promise<OpenProviders> {
  const out: OpenProviders = { providers: new Map(), unavailable: unadapted(configs) };
  for (const config of configs) {
    switch (config.type) {
      case "fake": {
        const { stateDir } = config.settings;
        const fake = await openFakeProvider({
          name: config.name,
          stateDir: typeof stateDir === "string" ? stateDir : from.folder(config.name),
          settings: config.settings,
          clock: from.clock,
          random: from.random,
          serverUrl: from.serverUrl,
          ...(from.agentTls === undefined ? {} : { agentTls: from.agentTls }),
          ...(from.agentKey === undefined ? {} : { agentKey: from.agentKey }),
          fleetId: from.fleetId,
          problem: from.problem,
          ...(from.agentCommand === null ? {} : { agentCommand: from.agentCommand }),
        });
        out.providers.set(config.name, counted(fake, from.count));
        break;
      }
      case "machine": {
        const { name, settings } = config;
        const { clock, random, fleetId, problem } = from;
        const stateDir = from.folder(name);
        const all = { name, settings, stateDir, clock, random, fleetId, problem };
        const opened = openMachineBed(all);
        if (opened.kind === "unavailable") out.unavailable.set(name, opened.why);
        else out.providers.set(name, counted(opened.bed.provider, from.count));
        break;
      }
      case "lambda":
      case "gcp":
      case "aws":
      case "coreweave":
      case "docker":
      case "static":
        break;
      default:
        unreachable(config.type);
    }
  }
  return out;
}

/** The same provider, with each answer counted by its class. */
function counted(
  provider: Provider,
  count: (provider: string, op: string, outcome: string) => void,
): Provider {
  return aroundProvider(provider, async ({ op }, call) => {
    const answer = await call();
    count(provider.name, op, "class" in answer ? answer.class : answer.kind);
    return answer;
  });
}
