/**
 * Credentials as rows: never the secret, which nobody has any more. Pure.
 */
import type { TokenView } from "../schema/credential.ts";
import { printTime } from "./age.ts";
import { printTable } from "./table.ts";
import type { Style } from "./table.ts";

const HEAD = ["ID", "Role", "Label", "Node ID", "Created", "Expires", "Revoked"];

export function printTokens(tokens: readonly TokenView[], style: Style): string {
  const rows = tokens.map((one) => [
    one.id,
    one.role,
    one.label ?? "",
    one.node_id ?? "",
    printTime(one.created_at),
    one.expires_at === null ? "never" : printTime(one.expires_at),
    printTime(one.revoked_at),
  ]);
  return printTable(HEAD, rows, style);
}
