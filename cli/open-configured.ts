/**
 * Opens providers of a configuration without a control plane, for commands that try or examine
 * them. They act for a fleet of their own.
 */
import type { Config } from "../schema/config.ts";
import type { OpenProviders } from "../reconciler/provider/open.ts";
import type { Context } from "./command.ts";
import { type Failure, unknownName, usage } from "./failure.ts";
import { plain } from "./table.ts";

export type Configured = OpenProviders & { config: Config };

/** `name` = `null` opens all of them; `folder` is for their state. */
export async function openConfigured(
  { world }: Pick<Context, "world">,
  files: readonly string[],
  name: string | null,
  folder: string,
): Promise<Configured | Failure> {
  const { inventoryOf, openConfig } = await import("../reconciler/config/open.ts");
  const { openProviders } = await import("../reconciler/provider/open.ts");
  const { REAL_CLOCK } = await import("../reconciler/kubernetes/connect.ts");
  const { CHECK_FLEET } = await import("../reconciler/provider/check.ts");
  const { config, problems } = await openConfig(files);
  if (config === null) {
    const first = problems.find(({ severity }) => severity === "error");
    const more = "see `navarch config validate`";
    return usage(`${first?.path ?? files[0]}: ${first?.message ?? "cannot be read"}; ${more}`);
  }
  const chosen = config.providers.filter((one) => name === null || one.name === name);
  if (name !== null && chosen.length === 0) {
    return unknownName(
      "provider",
      name,
      config.providers.map((one) => one.name),
    );
  }
  const opened = await openProviders(chosen, {
    folder: () => folder,
    fleetId: CHECK_FLEET,
    clock: REAL_CLOCK,
    // Only the fake cloud uses random numbers.
    random: () => 0.5,
    serverUrl: () => "",
    agentTls: () => null,
    agentKey: null,
    agentCommand: null,
    env: world.env,
    problem: (message) => world.err(`${plain(message)}\n`),
    claims: null,
    inventory: inventoryOf,
    count: () => undefined,
    simulation: null,
    scripts: null,
  });
  return { ...opened, config };
}
