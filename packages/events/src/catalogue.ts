/** All contracts under one namespace: finds the contract of a type, and the type of a contract. */
import type { Contract } from './contract.ts';

export interface Catalogue {
  readonly namespace: string;
  readonly contracts: readonly Contract[];
  readonly topics: readonly string[];
  /** The CloudEvents type, e.g. `surefire.banking.deposit_requested.v1`. Throws for a contract that is not listed. */
  typeOf(contract: Contract): string;
  /** The contract of a type, or undefined when this catalogue does not know it (yet). */
  find(type: string): Contract | undefined;
}

export function catalogue(options: { namespace: string; contracts: readonly Contract[] }): Catalogue {
  const byType = new Map<string, Contract>();
  const typeByContract = new Map<Contract, string>();
  for (const contract of options.contracts) {
    const type = `${options.namespace}.${contract.name}.v${contract.version}`;
    if (byType.has(type)) throw new Error(`the catalogue lists ${type} twice`);
    byType.set(type, contract);
    typeByContract.set(contract, type);
  }
  return {
    namespace: options.namespace,
    contracts: options.contracts,
    topics: [...new Set(options.contracts.map((contract) => contract.topic))],
    typeOf(contract) {
      const type = typeByContract.get(contract);
      if (type === undefined)
        throw new Error(`the catalogue does not list ${contract.name}.v${contract.version}`);
      return type;
    },
    find: (type) => byType.get(type),
  };
}
