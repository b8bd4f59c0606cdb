/** Claims in memory, for a check of a provider without a control plane. */
import type { Claim } from "../../../schema/claim.ts";
import { placeOfHost } from "../../core/inventory.ts";
import type { ClaimTable } from "../../core/store-table.ts";

export function openMemoryClaims(): ClaimTable {
  const rows: Claim[] = [];
  const isTaken = (claim: Claim): boolean =>
    rows.some((row) => {
      if (row.name === claim.name) return true;
      const isSame =
        row.provider === claim.provider
          ? row.host === claim.host
          : placeOfHost(row) === placeOfHost(claim);
      return (isSame || row.node === claim.node) && row.releasedAt === null;
    });
  return {
    read: () => Promise.resolve(rows.map((row) => ({ ...row }))),
    claim(claim) {
      if (isTaken(claim)) return Promise.resolve(false);
      rows.push({ ...claim });
      return Promise.resolve(true);
    },
    release(instance, at) {
      for (const row of rows) if (row.instance === instance) row.releasedAt ??= at;
      return Promise.resolve();
    },
  };
}
