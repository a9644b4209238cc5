/**
 * All contracts under one namespace: finds the contract of a type, the type of a contract, and reads data of any
 * version as those of the newest.
 */
import { assertData, type Contract } from './contract.ts';

export interface Catalogue {
  readonly namespace: string;
  readonly contracts: readonly Contract[];
  readonly topics: readonly string[];
  /** The CloudEvents type, e.g. `surefire.banking.deposit_requested.v1`. Throws for a contract that is not listed. */
  typeOf(contract: Contract): string;
  /** The contract of a type, or undefined when this catalogue does not know it (yet). */
  find(type: string): Contract | undefined;
  /**
   * The data of an event in the newest version that this catalogue knows: checked as what they are, then upcast,
   * then checked as what they became. Throws `ContractViolationError` when a check fails.
   */
  read(type: string, data: unknown): Reading;
}

export type Reading =
  | { readonly outcome: 'read'; readonly contract: Contract; readonly data: Record<string, unknown> }
  /** A newer version than any here: not to be judged, but to wait for a process that knows it. */
  | { readonly outcome: 'unknown-version'; readonly newestKnown: number }
  | { readonly outcome: 'unknown-type' };

/**
 * Throws when a version is listed twice, or when there is no way up to it: a version stays listed for ever, and
 * each but the first says how to get there from the one before.
 */
export function catalogue(options: { namespace: string; contracts: readonly Contract[] }): Catalogue {
  const { namespace, contracts } = options;
  const byType = new Map<string, Contract>();
  const typeByContract = new Map<Contract, string>();
  const versions = new Map<string, Contract[]>();
  for (const contract of contracts) {
    const type = `${namespace}.${contract.name}.v${contract.version}`;
    if (byType.has(type)) throw new Error(`the catalogue lists ${type} twice`);
    byType.set(type, contract);
    typeByContract.set(contract, type);
    versions.set(contract.name, [...(versions.get(contract.name) ?? []), contract]);
  }
  for (const [name, listed] of versions) {
    listed.sort((a, b) => a.version - b.version);
    assertLadder(name, listed);
  }

  return {
    namespace,
    contracts,
    topics: [...new Set(contracts.map((contract) => contract.topic))],
    typeOf(contract) {
      const type = typeByContract.get(contract);
      if (type === undefined)
        throw new Error(`the catalogue does not list ${contract.name}.v${contract.version}`);
      return type;
    },
    find: (type) => byType.get(type),
    read(type, data) {
      const contract = byType.get(type);
      if (contract === undefined) return unknown(type);
      assertData(contract, data);
      const ladder = versions.get(contract.name) as readonly Contract[];
      return climb({ contract, data: data as Record<string, unknown> }, ladder.slice(contract.version));
    },
  };

  function unknown(type: string): Reading {
    const [, name] = /^(.+)\.v[1-9]\d*$/.exec(type) ?? [];
    const known = name?.startsWith(`${namespace}.`) && versions.get(name.slice(namespace.length + 1));
    return known ? { outcome: 'unknown-version', newestKnown: known.length } : { outcome: 'unknown-type' };
  }
}

/** Upcasts the data of a contract through each of the newer ones. */
function climb(
  from: { contract: Contract; data: Record<string, unknown> },
  newer: readonly Contract[],
): Reading {
  let { contract, data } = from;
  for (const next of newer) {
    data = next.upcast?.(data) as Record<string, unknown>;
    assertData(next, data);
    contract = next;
  }
  return { outcome: 'read', contract, data };
}

function assertLadder(name: string, listed: readonly Contract[]): void {
  listed.forEach((contract, index) => {
    const { version } = contract;
    const upcasts = 'upcast' in contract;
    if (version !== index + 1)
      throw new Error(`the catalogue lists ${name}.v${version} without v${index + 1}`);
    if (version > 1 && !upcasts) throw new Error(`${name}.v${version} has no upcast from v${index}`);
    if (version === 1 && upcasts) throw new Error(`${name}.v1 has nothing to be upcast from`);
  });
}
