/** The machines that an operator owns, as an inventory lists them. */

export type InventoryHost = {
  /** Unique in the inventory; the address unless it is written. */
  name: string;
  /** DNS name or IP address. */
  address: string;
  /** For SSH; `null` = the pool's. */
  port: number | null;
  user: string | null;
  keyPath: string | null;
  /** In OpenSSH's form; empty = checked as the pool says. */
  hostKeys: readonly string[];
  region: string | null;
  zone: string | null;
  rack: string | null;
  /** `null` fits every pool. */
  instanceType: string | null;
};

/** `problem` has the place and the remedy. */
export type InventoryAnswer =
  | { ok: true; hosts: readonly InventoryHost[] }
  | { ok: false; problem: string };

/** Two hosts at one address and port are one machine. */
export function placeOfHost({ address, port }: Pick<InventoryHost, "address" | "port">): string {
  return `${address.toLowerCase()} ${port ?? 22}`;
}
