/*
 * Copyright (C) the ngx_http_comms_module authors
 */

import { FIFO } from './cloud.mjs';
import { twoMachines } from './nodes.mjs';

twoMachines('single, FIFO', { layout: 'single', ...FIFO });
