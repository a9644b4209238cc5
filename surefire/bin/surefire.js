#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { runProgram } from './node.js';

runProgram(fileURLToPath(new URL('../src/main.ts', import.meta.url)), process.argv.slice(2));
