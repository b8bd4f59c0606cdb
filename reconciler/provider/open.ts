/**
 * Opens the configured providers. One that cannot be opened is a condition of its pools and does
 * not prevent the start.
 */
import type { ProviderConfig, ProviderType } from "../../schema/config.ts";
import type { ProviderFailure } from "../../schema/provider-failure.ts";
import type { Clock } from "../core/clock.ts";
import type { FaultInjector } from "../core/fault-injector.ts";
import type { PeerTls } from "../security/tls/open.ts";
import { isSimulated, unadapted } from "../core/adapter.ts";
import type { InventoryAnswer } from "../core/inventory.ts";
import { pricesOf } from "../core/machine-setting.ts";
import type { ClaimTable } from "../core/store-table.ts";
import { openClient } from "../kubernetes/client.ts";
import { aroundProvider } from "./around.ts";
import { openAws } from "./aws/aws.ts";
import { readAwsSettings } from "./aws/setting.ts";
import { openCommandProvider } from "./command/command.ts";
import { passedOn } from "../program/program.ts";
import { readCommandSettings, readShellSettings } from "./command/setting.ts";
import { openShellProvider, type ScriptRecord } from "./command/shell.ts";
import { openCoreweave } from "./coreweave/coreweave.ts";
import { openCoreweaveCluster } from "./coreweave/setting.ts";
import { failing } from "./failing.ts";
import { openFakeProvider } from "./fake/fake.ts";
import { openFakeFaults } from "./fake/machine-fault.ts";
import { openGcp } from "./gcp/gcp.ts";
import { readGcpSettings } from "./gcp/setting.ts";
import { openAgentHost } from "./kwok/agent-host.ts";
import { openKwokFaults } from "./kwok/inject.ts";
import { openKwok } from "./kwok/kwok.ts";
import { readKwokSettings } from "./kwok/setting.ts";
import { openLambda } from "./lambda/lambda.ts";
import { readLambdaSettings } from "./lambda/setting.ts";
import { reachHost } from "./ssh/reach.ts";
import { withPrices } from "./price.ts";
import { readsNothing } from "./call/reads-nothing.ts";
import { openMemoryClaims } from "./ssh/memory-claims.ts";
import { openSsh } from "./ssh/ssh.ts";
import type { Provider } from "../core/provider.ts";

export type OpenProviders = { providers: Map<string, Provider>; unavailable: Map<string, string> };

export type ProviderPorts = {
  /** Folder for a provider's own state. */
  folder(name: string): string;
  fleetId: string;
  clock: Clock;
  random(): number;
  serverUrl(): string;
  /** CA and client certificate of a simulated cloud's agents; `null`: the system's. */
  agentTls(): PeerTls | null;
  /** Fingerprint of the key that signs orders, for the fake cloud's agents; `null`: none. */
  agentKey: string | null;
  agentCommand: readonly string[] | null;
  /** What programs that a provider starts inherit, but for our own variables. */
  env: Readonly<Record<string, string | undefined>>;
  problem(message: string): void;
  /** Claims of owned machines; `null`: in memory, where no control plane runs. */
  claims: ClaimTable | null;
  /** The owned machines of a provider, as they are listed now. */
  inventory(settings: ProviderConfig["settings"]): Promise<InventoryAnswer>;
  /** Called after each answered call, for metrics. */
  count(provider: string, op: string, outcome: string): void;
  /** What people break on purpose; `null` where no control plane runs. */
  simulation: SimulationPort | null;
  /** Keeps what the scripts of `command` providers print; `null` where no control plane runs. */
  scripts: ScriptRecord | null;
};

export type SimulationPort = {
  opened(provider: string, injector: FaultInjector): void;
  /** How this call of a simulated provider fails; `null` = as usual. */
  take(provider: string, op: string): ProviderFailure | null;
};

/** A simulated provider, and what hurts its machines. */
export type Simulated = { provider: Provider; faults: FaultInjector };

/** Opens a provider of one type; a text is the reason why nothing can be bought there. */
export type Adapter = (
  config: ProviderConfig,
  from: ProviderPorts,
) => Promise<Provider | Simulated | string>;

/** By type. Test programs add their own before they start a control plane. */
export const ADAPTERS: Map<ProviderType, Adapter> = new Map<ProviderType, Adapter>([
  ["fake", openFake],
  ["command", openCommand],
  ["coreweave", openCoreweaveCloud],
  ["kwok", openKwokCloud],
  ["lambda", openLambdaCloud],
  ["gcp", openGcpCloud],
  ["ssh", openOwned],
  ["static", openOwned],
  ["aws", openAwsCloud],
]);

async function openFake(config: ProviderConfig, from: ProviderPorts): Promise<Simulated> {
  const { stateDir: given } = config.settings;
  const stateDir = typeof given === "string" ? given : from.folder(config.name);
  const provider = await openFakeProvider({
    name: config.name,
    stateDir,
    settings: config.settings,
    clock: from.clock,
    random: from.random,
    serverUrl: from.serverUrl,
    agentTls: from.agentTls,
    agentKey: from.agentKey,
    fleetId: from.fleetId,
    problem: from.problem,
    ...(from.agentCommand === null ? {} : { agentCommand: from.agentCommand }),
  });
  return { provider, faults: openFakeFaults(stateDir) };
}

function openCommand(config: ProviderConfig, from: ProviderPorts): Promise<Provider> {
  const { fleetId, clock, env } = from;
  const about = { name: config.name, fleetId, clock, env: passedOn(env) };
  const shell = readShellSettings(config.settings);
  return Promise.resolve(
    shell === null
      ? openCommandProvider({ ...about, ...readCommandSettings(config.settings) })
      : openShellProvider({ ...about, ...shell, record: from.scripts }),
  );
}

async function openCoreweaveCloud(
  config: ProviderConfig,
  from: ProviderPorts,
): Promise<Provider | string> {
  const { fleetId, clock, env } = from;
  const transport = await openCoreweaveCluster(config.settings, env);
  if (typeof transport === "string") return transport;
  return openCoreweave({ name: config.name, fleetId, transport, clock });
}

async function openKwokCloud(
  config: ProviderConfig,
  from: ProviderPorts,
): Promise<Simulated | string> {
  const { fleetId, clock, env } = from;
  const { name } = config;
  const settings = await readKwokSettings(config.settings, env);
  if (typeof settings === "string") return settings;
  const { transport, kubeconfig, context, types, isTainted } = settings;
  const agents = openAgentHost({
    ...{ name, clock, env: passedOn(env) },
    stateDir: settings.stateDir ?? from.folder(name),
    setting: { provider: name, fleet_id: fleetId, kubeconfig, context },
    serverUrl: from.serverUrl,
    tls: from.agentTls,
    // Commands that only look, which have no claims, start nothing.
    runs: settings.runsAgents && from.claims !== null,
    problem: from.problem,
  });
  const api = openClient(transport, {
    ...{ clock, count: () => undefined, userAgent: "navarch-provider" },
  });
  const provider = openKwok({ name, fleetId, api, clock, types, isTainted, agents });
  return { provider, faults: openKwokFaults(api) };
}

function openLambdaCloud(config: ProviderConfig, from: ProviderPorts): Promise<Provider | string> {
  const { fleetId, clock, env } = from;
  const settings = readLambdaSettings(config.settings, env);
  return Promise.resolve(
    typeof settings === "string"
      ? settings
      : openLambda({ name: config.name, ...settings, fleetId, clock }),
  );
}

function openGcpCloud(config: ProviderConfig, from: ProviderPorts): Promise<Provider | string> {
  const { fleetId, clock, env } = from;
  const settings = readGcpSettings(config.settings, env, clock);
  return Promise.resolve(
    typeof settings === "string"
      ? settings
      : openGcp({ name: config.name, ...settings, fleetId, clock }),
  );
}

function openOwned(config: ProviderConfig, from: ProviderPorts): Promise<Provider> {
  const { name, type, settings } = config;
  const { fleetId, clock } = from;
  const { inventory } = settings;
  const provider = openSsh({
    ...{ name, type, fleetId, clock },
    source: typeof inventory === "string" ? inventory : `providers.${name}.hosts`,
    claims: from.claims ?? openMemoryClaims(),
    inventory: () => from.inventory(settings),
    reach: reachHost,
  });
  // Which machines are claimed is known to a control plane only.
  const { offers, quota } = readsNothing;
  return Promise.resolve(from.claims === null ? { ...provider, offers, quota } : provider);
}

function openAwsCloud(config: ProviderConfig, from: ProviderPorts): Promise<Provider | string> {
  const { fleetId, clock, env } = from;
  const settings = readAwsSettings(config.settings, env);
  return Promise.resolve(
    typeof settings === "string"
      ? settings
      : openAws({ name: config.name, ...settings, fleetId, clock }),
  );
}

export async function openProviders(
  configs: ProviderConfig[],
  from: ProviderPorts,
): Promise<OpenProviders> {
  const out: OpenProviders = { providers: new Map(), unavailable: unadapted(configs) };
  for (const config of configs) {
    const opened = await ADAPTERS.get(config.type)?.(config, from);
    if (opened === undefined) continue;
    if (typeof opened === "string") {
      out.unavailable.set(config.name, opened);
    } else {
      out.unavailable.delete(config.name);
      const { prices } = config.settings;
      const own = "faults" in opened ? breakable(config, opened, from) : opened;
      const priced = typeof prices === "string" ? withPrices(own, pricesOf(prices)) : own;
      out.providers.set(config.name, counted(priced, from.count));
    }
  }
  return out;
}

/** Only a type that is known to be simulated can be broken, whatever its adapter returns. */
function breakable(
  { name, type }: ProviderConfig,
  opened: Simulated,
  { simulation, clock }: ProviderPorts,
): Provider {
  const { provider, faults } = opened;
  if (simulation === null || !isSimulated(type)) return provider;
  simulation.opened(name, faults);
  return failing(provider, clock, (op) => simulation.take(name, op));
}

/** The same provider, with its answers counted by class. */
function counted(provider: Provider, count: ProviderPorts["count"]): Provider {
  return aroundProvider(provider, async ({ op }, call) => {
    const answer = await call();
    count(provider.name, op, "class" in answer ? answer.class : answer.kind);
    return answer;
  });
}
