#!/usr/bin/env node
import { ask } from './ask.mjs';

await ask('/healthz');
